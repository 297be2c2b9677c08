"""Training steps of speech recognisers beside plain CTC programs, and the transducer's loss.

Shapes: B utterances, T frames, D features, H hidden, U labels, S = U + 1 positions, V outputs, of
which 0 is the blank.
"""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.core.aligned import aligned
from bench.data.corpora import Corpus
from bench.models.recurrence import Recurrence
from bench.runs.resolve import Resolved
from bench.speech.data.batches import SpeechBatch, SpeechBatches
from bench.speech.data.prepared import FeatureSplit
from bench.speech.objectives.speech import SpeechObjective, num_stacks, stack
from bench.speech.transducer_loss import transducer_loss
from bench.speed.contest import (
    Contestant,
    PlainSteps,
    SpeedReport,
    contest,
    heading,
    plain_contestants,
    shipped_contestant,
    timed_objective,
    training_facts,
)
from bench.speed.machine import device_name, take_turns

LATTICE = (8, 100, 20, 62)
"""Utterances, frames, labels and outputs of the timed losses; the plain loops take their time."""


def speech_speed(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> SpeedReport:
    """Training steps of the shipped path and of plain CTC programs, then the transducer's loss."""
    objective = timed_objective(SpeechObjective, resolved, corpus)  # type: ignore[type-abstract]
    shipped = shipped_contestant(objective, f"shipped ({resolved.objective})")
    name = f"packed nn.LSTM({objective.config.model['hidden_size']}), ctc"
    models, split = {name: library_program(objective)}, objective.corpus.splits["train"]
    make, num_utterances = partial(batch_of, split), len(split)
    plain = plain_contestants(objective, models, shipped.batches, make, num_utterances)
    loop = Contestant(
        name="plain loop over the equations, ctc",
        program=PlainSteps(loop_program(objective), objective),
        batches=shipped.batches,
    )
    facts = training_facts(objective, shipped.batches, unit="frames")
    return SpeedReport(
        heading=heading(resolved, facts, device_name(objective.device)),
        tables=[
            contest(objective, [shipped, *plain, loop], unit="frames", num_rounds=num_rounds),
            loss_report(max(1, num_rounds // 5), objective.device),
        ],
    )


def batch_of(split: FeatureSplit, places: npt.NDArray[np.int64]) -> SpeechBatch:
    """Batch of the utterances at these places of the split."""
    loader = SpeechBatches(split, batch_frames=1)
    loader.batches = [places]
    return loader.batch(0)


class PlainCTC(nn.Module):
    """`nn.LSTM` over packed sequences or a recurrence's plain loop, log-softmax and CTC loss."""

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
    """`nn.LSTM` with as many hidden units, layers, directions and frames a step."""
    model, stack_frames = objective.config.model, objective.options.stack_frames
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


def loop_program(objective: SpeechObjective) -> PlainCTC:
    """The configured recurrence by its plain loop."""
    encoder = copy.deepcopy(objective.encoder)
    num_outputs = objective.corpus.corpus.num_outputs
    stack_frames = objective.options.stack_frames
    return PlainCTC(encoder, encoder.output_size, num_outputs, stack_frames)


def loss_report(num_rounds: int, device: torch.device) -> str:
    """Table of the transducer's loss and gradient: shipped, by plain loops, by torchaudio."""
    B, T, U, V = LATTICE
    z_BTSV = torch.randn(B, T, U + 1, V, device=device, requires_grad=True)
    target_BU = torch.randint(1, V, (B, U), device=device)
    frames_B, labels_B = (torch.full((B,), length, device=device) for length in (T, U))
    ints = [numbers.int() for numbers in (target_BU, frames_B, labels_B)]

    def step(loss: Callable[[], Tensor]) -> None:
        z_BTSV.grad = None
        torch.autograd.backward(loss().sum())

    contestants = {
        "shipped": partial(step, lambda: transducer_loss(z_BTSV, target_BU, frames_B, labels_B)),
        "plain double loop": partial(step, lambda: plain_transducer_loss(z_BTSV, target_BU)),
    }
    if (rnnt_loss := _torchaudio_loss()) is not None:
        contestants["torchaudio"] = partial(step, lambda: rnnt_loss(z_BTSV, *ints, blank=0))
    timings = take_turns(contestants, num_rounds=num_rounds, warm_up=1, device=device)
    shipped_sec = timings["shipped"].median_sec
    rows = [
        (name, f"{1e3 * timing.median_sec:.1f}", f"{timing.median_sec / shipped_sec:.1f}")
        for name, timing in timings.items()
    ]
    title = f"transducer loss, {B} utterances, {T} frames, {U} labels, {V} outputs"
    return f"{title}\n{aligned(('forward and backward', 'ms', 'x shipped'), rows)}"


def _torchaudio_loss() -> Callable[..., Tensor] | None:
    try:
        loss: Callable[..., Tensor] = importlib.import_module("torchaudio.functional").rnnt_loss
    except (ImportError, OSError):  # absent, or built for another torch
        return None
    return loss


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
