"""Speech: training steps beside what one writes first, and the transducer's loss beside its loops.

The plain program is CTC as in many a tutorial: a packed `nn.LSTM`, or the configured recurrence's
plain loop where it is no LSTM, a linear layer, a log-softmax, the library's loss.

Shapes: B utterances, T frames, U labels, V outputs, of which 0 is the blank.
"""

from __future__ import annotations

import copy
import importlib
import itertools
import math
import statistics
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.data.corpus import Corpus
from bench.data.speech.batches import SpeechBatch
from bench.errors import BenchError
from bench.listing import aligned
from bench.models.recurrence import Recurrence
from bench.objectives.speech import SpeechObjective
from bench.objectives.stacking import num_stacks, stack
from bench.resolve import Resolved
from bench.speed.steps import BareLoop, make_objective
from bench.speed.timing import take_turns
from bench.transducer.loss import transducer_loss

NUM_BATCHES = 6
LATTICE = (8, 100, 20, 62)
"""Utterances, frames, labels and outputs of the timed losses; the plain loops take their time."""


class PlainCTC(nn.Module):
    """An LSTM over packed sequences, or a recurrence by its plain loop, under CTC."""

    def __init__(
        self, network: nn.LSTM | Recurrence, size: int, num_outputs: int, stack_frames: int
    ) -> None:
        super().__init__()
        self.stack_frames = stack_frames
        self.network = network
        self.output = nn.Linear(size, num_outputs)

    def forward(self, batch: SpeechBatch) -> Tensor:
        """Mean loss over the utterances."""
        stack_frames = self.stack_frames
        x_BTD = stack(batch.features, stack_frames)
        lengths_B = num_stacks(batch.num_frames, stack_frames)
        if isinstance(self.network, nn.LSTM):
            packed = pack_padded_sequence(x_BTD, lengths_B, batch_first=True)
            y_BTH, _ = pad_packed_sequence(self.network(packed)[0], batch_first=True)
        else:
            y_BTH, _ = self.network.forward_reference(x_BTD, None, lengths_B)
        log_p_TBV = F.log_softmax(self.output(y_BTH), dim=2).transpose(0, 1)
        loss_B = F.ctc_loss(log_p_TBV, batch.labels, lengths_B, batch.num_labels, reduction="none")
        return loss_B.mean()


def speech_report(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> str:
    """Training steps of the shipped path and of plain CTC programs, then the transducer's loss."""
    objective = make_objective(resolved, corpus)
    if not isinstance(objective, SpeechObjective):
        raise BenchError(f"no speed is measured of the objective {resolved.objective!r}")
    every = objective.train_loader()
    batches = list(itertools.islice(every, min(NUM_BATCHES, len(every))))
    num_frames = statistics.fmean(objective.units_in(batch) for batch in batches)
    contestants: dict[str, Callable[[], object]] = {
        f"shipped ({resolved.objective})": BareLoop(objective, batches)
    }
    for name, plain in _plain(objective).items():
        contestants[name] = _steps(plain, batches, clip_at=resolved.config.optim.clip_at)
    timings = take_turns(contestants, num_rounds=num_rounds * len(batches), warm_up=len(batches))
    shipped_sec = next(iter(timings.values())).median_sec
    rows = [
        (
            name,
            f"{1e3 * timing.median_sec:.1f}",
            f"{num_frames / timing.median_sec:,.0f}",
            f"{timing.median_sec / shipped_sec:.2f}",
        )
        for name, timing in timings.items()
    ]
    num_weights = sum(parameter.numel() for parameter in objective.parameters())
    heading = (
        f"{resolved.card.task} · {resolved.config.model['name']} · {num_weights:,} weights · "
        f"batches of {num_frames:,.0f} frames · {torch.get_num_threads()} threads"
    )
    table = aligned(("a training step", "ms", "frames/s", "x shipped"), rows)
    return f"{heading}\n\n{table}\n\n{loss_report(num_rounds)}"


def _plain(objective: SpeechObjective) -> dict[str, PlainCTC]:
    """The programs to beat: the library's LSTM of the same sizes, and the plain loop.

    A program without stacks makes a step a frame.
    """
    model, encoder = objective.config.model, objective.encoder
    num_outputs = objective.corpus.corpus.num_outputs
    hidden_size, num_layers = int(model["hidden_size"] or 0), int(model["num_layers"] or 1)
    both = model["direction"] == "bidirectional"
    stacked = objective.speech_options.stack_frames
    found: dict[str, PlainCTC] = {}
    for frames in dict.fromkeys((stacked, 1)):
        lstm = nn.LSTM(
            objective.corpus.num_features * frames,
            hidden_size,
            num_layers=num_layers,
            bidirectional=both,
            batch_first=True,
        )
        name = f"packed nn.LSTM({hidden_size}), {frames} frames a step, ctc"
        found[name.replace("1 frames", "1 frame")] = PlainCTC(
            lstm, hidden_size * (2 if both else 1), num_outputs, frames
        )
    loop = PlainCTC(copy.deepcopy(encoder), encoder.output_size, num_outputs, stacked)
    return {**found, "plain loop over the equations, ctc": loop}


def _steps(model: PlainCTC, batches: list[SpeechBatch], *, clip_at: float) -> Callable[[], float]:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    turns = itertools.cycle(batches)

    def step() -> float:
        loss = model(next(turns))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), clip_at)
        optimizer.step()
        return float(loss.detach())

    return step


def loss_report(num_rounds: int) -> str:
    """The transducer's loss and gradient: shipped, and by a loop over frames and labels."""
    B, T, U, V = LATTICE
    z_BTSV = torch.randn(B, T, U + 1, V, requires_grad=True)
    target_BU = torch.randint(1, V, (B, U))
    frames_B, labels_B = torch.full((B,), T), torch.full((B,), U)

    def call(loss: Callable[[], Tensor]) -> Callable[[], None]:
        def forward_and_backward() -> None:
            z_BTSV.grad = None
            torch.autograd.backward(loss())

        return forward_and_backward

    contestants = {
        "shipped": call(lambda: transducer_loss(z_BTSV, target_BU, frames_B, labels_B).sum()),
        "plain double loop": call(lambda: plain_transducer_loss(z_BTSV, target_BU).sum()),
        **_of_torchaudio(z_BTSV, target_BU, call),
    }
    timings = take_turns(contestants, num_rounds=max(1, num_rounds // 5), warm_up=1)
    shipped_sec = timings["shipped"].median_sec
    rows = [
        (name, f"{1e3 * timing.median_sec:.1f}", f"{timing.median_sec / shipped_sec:.1f}")
        for name, timing in timings.items()
    ]
    title = f"transducer loss, {B} utterances, {T} frames, {U} labels, {V} outputs"
    return f"{title}\n{aligned(('forward and backward', 'ms', 'x shipped'), rows)}"


def plain_transducer_loss(z_BTSV: Tensor, target_BU: Tensor) -> Tensor:
    """-log Pr(y | x) [B] of full lattices, a node at a time, differentiated by the library.

    A. Graves (2012), equation 16: alpha(t, u) = alpha(t-1, u) blank(t-1, u) + alpha(t, u-1)
    y(t, u-1).
    """
    B, T, S, _ = z_BTSV.shape
    log_p_BTSV = F.log_softmax(z_BTSV, dim=3)
    blank_BTS = log_p_BTSV[..., 0]
    index = target_BU[:, None, :, None].expand(B, T, S - 1, 1)
    label_BTU = log_p_BTSV[:, :, :-1].gather(3, index)[..., 0]
    none_B = z_BTSV.new_full((B,), -math.inf)
    before: list[Tensor] = []
    for t in range(T):
        row: list[Tensor] = []
        for u in range(S):
            down_B = before[u] + blank_BTS[:, t - 1, u] if t else none_B
            right_B = row[u - 1] + label_BTU[:, t, u - 1] if u else none_B
            first = t == 0 and u == 0
            row.append(torch.zeros_like(none_B) if first else torch.logaddexp(down_B, right_B))
        before = row
    return -(before[-1] + blank_BTS[:, -1, -1])


def _of_torchaudio(
    z_BTSV: Tensor,
    target_BU: Tensor,
    call: Callable[[Callable[[], Tensor]], Callable[[], None]],
) -> dict[str, Callable[[], None]]:
    """Torchaudio's loss where a machine has it."""
    try:
        rnnt_loss = importlib.import_module("torchaudio.functional").rnnt_loss
    except (ImportError, OSError):  # absent, or built for another torch
        return {}
    B, T, S, _ = z_BTSV.shape
    frames_B, labels_B = torch.full((B,), T).int(), torch.full((B,), S - 1).int()

    def loss() -> Tensor:
        found: Tensor = rnnt_loss(z_BTSV, target_BU.int(), frames_B, labels_B, blank=0)
        return found.sum()

    return {"torchaudio": call(loss)}
