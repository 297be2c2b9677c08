"""Rows of bits with their parity.

Shapes: N rows, B rows of a batch, T bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.structs import Frozen
from bench.data.batching import ResumableBatches, State

SIZES = {"train": 96, "valid": 40, "test": 60}


class ParitySpec(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="parity"):
    """Rows of `num_bits` bits, drawn from a seed."""

    num_bits: int
    seed: int = 1
    licence: str = "generated: no licence is needed"


@dataclass(frozen=True, kw_only=True)
class ParityCorpus:
    """Bits of each split [N, T]."""

    splits: Mapping[str, NDArray[np.int64]]

    @property
    def checksums(self) -> Mapping[str, str]:
        return {
            name: hashlib.sha256(bits_NT.tobytes()).hexdigest()
            for name, bits_NT in self.splits.items()
        }


class ParityBatch(NamedTuple):
    """Rows [B, T], the places of the rows in the split [B] and their labels [B]."""

    bits: Tensor
    place: Tensor
    label: Tensor


class ParityBatches(ResumableBatches[ParityBatch]):
    """Batches of a split, in another order each epoch; evaluation keeps the split's order."""

    def __init__(self, bits_NT: NDArray[np.int64], *, batch_size: int, seed: int | None) -> None:
        super().__init__()
        self._bits_NT, self._batch_size, self._seed = bits_NT, batch_size, seed

    def __len__(self) -> int:
        return -(-len(self._bits_NT) // self._batch_size)

    def epoch_order(self, epoch: int) -> list[NDArray[np.int64]]:
        place_N = np.arange(len(self._bits_NT))
        if self._seed is not None:
            place_N = np.random.default_rng([self._seed, epoch]).permutation(place_N)
        return np.array_split(place_N, len(self))

    def batch(self, of: NDArray[np.int64]) -> ParityBatch:
        bits_BT = torch.from_numpy(self._bits_NT[of])
        return ParityBatch(bits_BT, torch.from_numpy(of), bits_BT.sum(1) % 2)

    def sizes(self, of: NDArray[np.int64]) -> tuple[int, ...]:
        return (len(of),)

    def _identity(self) -> State:
        return {"rows": len(self._bits_NT), "size": self._batch_size, "seed": self._seed}


def load(card: Card, data: DataConfig, **_: Any) -> ParityCorpus:
    """The corpus of a card."""
    del data
    assert isinstance(card.corpus, ParitySpec)
    stream = np.random.default_rng(card.corpus.seed)
    return ParityCorpus(
        splits={
            name: stream.integers(0, 2, size=(size, card.corpus.num_bits))
            for name, size in SIZES.items()
        }
    )


def inspect(card: Card, data: DataConfig, **_: Any) -> None:
    """Print the sizes of the splits."""
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in load(card, data).splits.items())
    print(f"{card.task}: generated; rows: {sizes}")
