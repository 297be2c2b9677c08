"""Random batches of transducer lattices and their probabilities by enumeration."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.speech.transducer_loss import plain_log_likelihood

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
