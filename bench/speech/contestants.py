"""Training steps of recognisers beside the programs that one writes first."""

from __future__ import annotations

import copy
import importlib
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.data.corpora import Corpus
from bench.models.recurrence import Recurrence
from bench.runs.resolve import Resolved
from bench.speech.data.batches import SpeechBatch, SpeechBatches
from bench.speech.data.prepared import FeatureSplit
from bench.speech.objectives.speech import SpeechObjective, num_stacks, stack
from bench.speech.transducer_loss import transducer_loss
from bench.speed.contest import NUM_BATCHES, Contestant, PlainSteps, contest
from bench.speed.machine import CPU, device_of, named, take_turns
from bench.speed.steps import BareLoop, make_objective

# The programs that recognisers of speech are held against: what one writes first.
#
# CTC as in many a tutorial: a packed `nn.LSTM`, or a recurrence by its plain loop, a linear layer,
# a log-softmax, the library's loss, Adam as it comes; utterances in batches as they happen to
# fall.
#
# Shapes: B utterances, T frames, D features, H hidden, V outputs, of which 0 is the blank.


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
        x_BTD = stack(batch.features, self.stack_frames)
        lengths_B = num_stacks(batch.num_frames, self.stack_frames)
        if isinstance(self.network, nn.LSTM):
            # Lengths of packed sequences lie on the CPU.
            packed = pack_padded_sequence(
                x_BTD, lengths_B.cpu(), batch_first=True, enforce_sorted=False
            )
            y_BTH, _ = pad_packed_sequence(self.network(packed)[0], batch_first=True)
        else:
            y_BTH, _ = self.network.forward_reference(x_BTD, None, lengths_B)
        log_p_TBV = F.log_softmax(self.output(y_BTH), dim=2).transpose(0, 1)
        loss_B = F.ctc_loss(log_p_TBV, batch.labels, lengths_B, batch.num_labels, reduction="none")
        return loss_B.mean()


def library_program(objective: SpeechObjective) -> PlainCTC:
    """The library's LSTM with as many hidden units, layers, directions and frames a step."""
    model, stack_frames = objective.config.model, objective.speech_options.stack_frames
    hidden_size = int(model["hidden_size"] or 0)
    both = model["direction"] == "bidirectional"
    lstm = nn.LSTM(
        objective.corpus.num_features * stack_frames,
        hidden_size,
        num_layers=int(model["num_layers"] or 1),
        bidirectional=both,
        batch_first=True,
    )
    num_outputs = objective.corpus.corpus.num_outputs
    return PlainCTC(lstm, hidden_size * (2 if both else 1), num_outputs, stack_frames)


def batches_at_random(
    split: FeatureSplit, *, num_batches: int, num_utterances: int, seed: int
) -> list[SpeechBatch]:
    """Utterances in any order, as many in each batch, padded to the longest of it."""
    order = np.random.default_rng(seed).permutation(len(split))
    loader = SpeechBatches(split, batch_frames=1)
    starts = [number * num_utterances % len(split) for number in range(num_batches)]
    loader.batches = [order[start : start + num_utterances] for start in starts]
    return [loader.batch(number) for number in range(num_batches)]


# The transducer's loss and gradient beside what one writes first, and torchaudio's where it is.
#
# Shapes: B utterances, T frames, U labels, S = U + 1 positions, V outputs, of which 0 is the blank.


LATTICE = (8, 100, 20, 62)
"""Utterances, frames, labels and outputs of the timed losses; the plain loops take their time."""


def loss_report(num_rounds: int, device: torch.device = CPU) -> str:
    """The transducer's loss and gradient: shipped, and by a loop over frames and labels."""
    B, T, U, V = LATTICE
    z_BTSV = torch.randn(B, T, U + 1, V, device=device, requires_grad=True)
    target_BU = torch.randint(1, V, (B, U), device=device)
    frames_B, labels_B = (torch.full((B,), length, device=device) for length in (T, U))

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
    timings = take_turns(contestants, num_rounds=num_rounds, warm_up=1, device=device)
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
    lengths = (T, S - 1)
    frames_B, labels_B = (
        torch.full((B,), length, dtype=torch.int32, device=z_BTSV.device) for length in lengths
    )

    def loss() -> Tensor:
        found: Tensor = rnnt_loss(z_BTSV, target_BU.int(), frames_B, labels_B, blank=0)
        return found.sum()

    return {"torchaudio": call(loss)}


def speech_report(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> str:
    """Training steps of the shipped path and of plain CTC programs, then the transducer's loss."""
    objective = make_objective(resolved, corpus)
    if not isinstance(objective, SpeechObjective):
        raise BenchError(f"no speed is measured of the objective {resolved.objective!r}")
    contestants, device = _contestants(resolved, objective), device_of(resolved)
    table = contest(
        contestants,
        unit="frames",
        units_in=objective.units_in,
        num_rounds=num_rounds,
        device=device,
    )
    heading = _heading(resolved, objective, contestants[0].batches)
    return f"{heading}\n\n{table}\n\n{loss_report(max(1, num_rounds // 5), device)}"


def _heading(resolved: Resolved, objective: SpeechObjective, batches: Sequence[SpeechBatch]) -> str:
    num_weights = sum(parameter.numel() for parameter in objective.parameters())
    num_frames = sum(map(objective.units_in, batches)) / len(batches)
    return (
        f"{resolved.card.task} · {resolved.config.model['name']} · {num_weights:,} weights · "
        f"batches of {num_frames:,.0f} frames · {named(device_of(resolved))}"
    )


def _contestants(resolved: Resolved, objective: SpeechObjective) -> list[Contestant]:
    """The shipped path first, then the programs to beat.

    The packed LSTM of the same sizes once gets the shipped path's batches, which hold utterances of
    like length, then batches as they happen to fall.
    """
    every = objective.train_loader()
    batches = list(itertools.islice(every, min(NUM_BATCHES, len(every))))
    split = objective.corpus.splits["train"]
    at_random = batches_at_random(
        split,
        num_batches=len(batches),
        num_utterances=round(len(split) / len(every)),
        seed=resolved.config.seed,
    )
    lstm = f"packed nn.LSTM({objective.config.model['hidden_size']}), ctc"
    programs = {
        f"{lstm}, the same batches": (library_program(objective), batches),
        f"{lstm}, batches at random": (library_program(objective), at_random),
        "plain loop over the equations, ctc": (loop_program(objective), batches),
    }
    clip_at, device = resolved.config.optim.clip_at, device_of(resolved)
    plain = [
        Contestant(
            name=name, program=PlainSteps(model, clip_at=clip_at, device=device), batches=given
        )
        for name, (model, given) in programs.items()
    ]
    loop = BareLoop(objective, batches)
    shipped = Contestant(name=f"shipped ({resolved.objective})", program=loop, batches=batches)
    return [shipped, *plain]


def loop_program(objective: SpeechObjective) -> PlainCTC:
    """The configured recurrence by its plain loop."""
    encoder = copy.deepcopy(objective.encoder)
    num_outputs = objective.corpus.corpus.num_outputs
    stack_frames = objective.speech_options.stack_frames
    return PlainCTC(encoder, encoder.output_size, num_outputs, stack_frames)
