"""Random batches of transducer lattices, and their probabilities by plain loops and enumeration.

A. Graves, "Sequence transduction with recurrent neural networks", 2012, section 2.4: with
alpha(t, u) the probability of having put out the first u labels when frame t is reached,

    (1)  alpha(0, 0) = 1
    (2)  alpha(t, u) = alpha(t-1, u) p(blank | t-1, u) + alpha(t, u-1) p(y_u | t, u-1)
    (3)  Pr(y | x)   = alpha(T-1, U) p(blank | T-1, U)
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.speech.transducer_loss import log_likelihood, occupancies

ATOL = 1e-10


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Scores [B, T, S, V], targets [B, U] and lengths of a batch."""

    z: Tensor
    target: Tensor
    frames: Tensor
    labels: Tensor

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.z, self.target, self.frames, self.labels

    def alone(self, b: int) -> tuple[Tensor, Tensor]:
        """Scores and targets of one utterance, cut to its own size."""
        num_frames, num_labels = int(self.frames[b]), int(self.labels[b])
        return self.z[b, :num_frames, : num_labels + 1], self.target[b, :num_labels]


def batch_of(
    lengths: list[tuple[int, int]],
    *,
    num_outputs: int = 5,
    seed: int = 0,
    scale: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> Batch:
    """A batch of utterances of (frames, labels); scores are normal with deviation `scale`."""
    generator = torch.Generator().manual_seed(seed)
    frames, labels = (torch.tensor(column) for column in zip(*lengths, strict=True))
    B, T, U = len(lengths), int(frames.max()), int(labels.max())
    z = scale * torch.randn(B, T, U + 1, num_outputs, generator=generator, dtype=torch.float64)
    target = torch.randint(1, num_outputs, (B, U), generator=generator)
    return Batch(z=z.to(dtype).requires_grad_(), target=target, frames=frames, labels=labels)


class _LatticeLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *lattice: Tensor) -> Tensor:
        _, *moves = occupancies(*lattice)
        ctx.save_for_backward(*moves)
        return -log_likelihood(*lattice)

    @staticmethod
    def backward(ctx: Any, grad_B: Tensor) -> tuple[Tensor | None, ...]:
        blank_BTS, label_BTU = (-grad_B[:, None, None] * move for move in ctx.saved_tensors)
        return blank_BTS, label_BTU, None, None


def lattice_loss(
    blank_BTS: Tensor, label_BTU: Tensor, frames_B: Tensor, labels_B: Tensor
) -> Tensor:
    """Loss [B] of log-probabilities of blanks and of the next labels, from both recursions."""
    lattice = blank_BTS, label_BTU, frames_B, labels_B
    loss_B: Tensor = _LatticeLoss.apply(*lattice)  # type: ignore[no-untyped-call]
    return loss_B


def plain_log_likelihood(log_p_TSV: Tensor, target_U: Tensor) -> Tensor:
    """Natural log Pr(y | x) [] of one utterance; the lattice is taken whole, without padding."""
    num_frames, num_positions, _ = log_p_TSV.shape
    target = target_U.tolist()
    alpha: dict[tuple[int, int], Tensor] = {}
    for t in range(num_frames):
        for u in range(num_positions):
            arriving = [log_p_TSV.new_zeros(())] if t == u == 0 else []  # (1)
            if t > 0:
                arriving.append(alpha[t - 1, u] + log_p_TSV[t - 1, u, 0])  # (2)
            if u > 0:
                arriving.append(alpha[t, u - 1] + log_p_TSV[t, u - 1, target[u - 1]])
            alpha[t, u] = torch.stack(arriving).logsumexp(0)
    return alpha[num_frames - 1, num_positions - 1] + log_p_TSV[-1, -1, 0]  # (3)


def plain_losses(batch: Batch) -> Tensor:
    """-log Pr(y | x) of each utterance by the plain double loop, differentiable."""
    losses = []
    for b in range(len(batch.z)):
        z_TSV, target_U = batch.alone(b)
        losses.append(-plain_log_likelihood(z_TSV.log_softmax(2), target_U))
    return torch.stack(losses)


def enumerated(log_p_TSV: Tensor, target_U: Tensor) -> float:
    """log Pr(y | x) as the sum over every alignment: U labels among T - 1 blanks, then a blank."""
    log_p_TSV = log_p_TSV.detach()
    num_frames, num_labels = len(log_p_TSV), len(target_U)
    total = []
    for places in itertools.combinations(range(num_frames - 1 + num_labels), num_labels):
        t = u = 0
        log_p = 0.0
        for move in range(num_frames - 1 + num_labels):
            if move in places:
                log_p += float(log_p_TSV[t, u, int(target_U[u])])
                u += 1
            else:
                log_p += float(log_p_TSV[t, u, 0])
                t += 1
        total.append(log_p + float(log_p_TSV[t, u, 0]))
    largest = max(total)
    return largest + math.log(sum(math.exp(log_p - largest) for log_p in total))
