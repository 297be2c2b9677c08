"""Batches of sequences of frames, in an order that the epoch decides.

A batch is made over all ranks together and dealt out, sequence by sequence: the same setting means
the same training on any number of them.

Shapes: B sequences, T frames, Y X pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import BenchError
from bench.data.batching import ResumableBatches, State
from bench.data.random import uniform
from bench.frames.data.corpus import FrameSplit
from bench.frames.data.motion import Ints


class FrameBatch(NamedTuple):
    """Whole sequences."""

    frames: Tensor
    """Pixels between 0 and 255, uint8 [B, T, Y, X]."""
    place: Tensor
    """Place of each sequence in the split [B]."""
    num_sequences: Tensor
    """Sequences of the batch over all ranks [], for means that do not depend on their number."""


class FrameBatches(ResumableBatches[FrameBatch]):
    """Loader of `FrameBatch` whose place can be saved and restored exactly.

    `batch_size`: sequences of a batch over all ranks. `order`: `shuffled` anew in each epoch, or
    always `given`.
    """

    def __init__(
        self,
        split: FrameSplit,
        *,
        batch_size: int,
        seed: int = 0,
        order: Literal["shuffled", "given"] = "shuffled",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        if not world_size <= batch_size:
            raise BenchError(f"batch_size must be at least {world_size}: a sequence a process")
        if len(split) < world_size:
            raise BenchError(
                f"{len(split):,} sequences are too few for {world_size} processes: use fewer"
            )
        self.split, self.batch_size, self.seed, self.order = split, batch_size, seed, order
        self.rank, self.world_size = rank, world_size
        self._sequences = split.sha256()[:16]

    def __len__(self) -> int:
        whole, rest = divmod(len(self.split), self.batch_size)
        # A rest with fewer sequences than processes joins the batch before it.
        return whole + (rest >= self.world_size or whole == 0)

    def epoch_order(self, epoch: int) -> Sequence[Ints]:
        """Sequences of each batch, over all ranks, in the order of an epoch."""
        order = np.arange(len(self.split))
        if self.order == "shuffled":
            stream = np.random.PCG64([self.seed, epoch])
            order = np.argsort(uniform(stream, len(order)), kind="stable")
        return np.split(order, self.batch_size * np.arange(1, len(self)))

    def batch(self, of: Ints) -> FrameBatch:
        """Part of a batch of these sequences for this rank."""
        mine = of[self.rank :: self.world_size]
        return FrameBatch(
            frames=torch.from_numpy(self.split.frames(mine)),
            place=torch.from_numpy(mine.copy()),
            num_sequences=torch.tensor(len(of)),
        )

    def sizes(self, of: Ints) -> tuple[int, ...]:
        """Number of sequences, which are equally long."""
        return (len(of[self.rank :: self.world_size]),)

    def _identity(self) -> State:
        return {
            "sequences": self._sequences,
            "num_batches": len(self),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "order": self.order,
        }
