"""Batches of sentence pairs of similar length, with a bounded number of tokens in each.

    sorted by the longer side   ====/=== ===/==== | ==/== ==/= ==/== | =/= =/= =/= =/=
    batches                     tokens of either side after padding, at most `batch_tokens`
    an epoch                    pairs of equal length shuffled, batches in an order of their own

Pairs of equal length on their longer side are ordered anew in each epoch, roughly by the length of
the other, so that batches differ while their number and sizes stay. A batch is made over all ranks
together and divided among them pair by pair: a setting means the same training on any number of
ranks.

B pairs, S source tokens, T target tokens; lengths count the `</s>` behind each sentence.
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.core.errors import BenchError
from bench.data.batching import State, TokenBatches
from bench.data.random import uniform
from bench.data.tokens import END
from bench.translation.data.corpus import PairSplit

Ids = npt.NDArray[np.int64]
JITTER_TOKENS = 4.0
"""Pairs whose total lengths differ by fewer tokens may change places."""


class TranslationBatch(NamedTuple):
    """Padded pairs; each row ends in `</s>`, padding is zero."""

    source: Tensor
    """Ids [B, S], int64."""
    source_lengths: Tensor
    """Tokens with the end [B]."""
    target: Tensor
    """Ids [B, T], int64."""
    target_lengths: Tensor
    """Tokens with the end [B]."""
    places: Tensor
    """Place of each pair in the split [B]."""
    num_sentences: Tensor
    """Pairs of the batch over all ranks, for means that do not depend on their number []."""
    num_target_tokens: Tensor
    """Tokens of the batch over all ranks, ends included []."""


class TranslationBatches(TokenBatches[TranslationBatch]):
    """Loader of `TranslationBatch`; its position can be saved and restored exactly.

    `batch_tokens`: tokens of a batch over all ranks, padding included, on the side that has more;
    a longer pair has a batch to itself, and a batch has at least one pair for each rank.
    `longest`: pairs with more tokens on a side, ends not counted, are left out; `num_left_out` is
    their number. `order`: `shuffled` anew in each epoch, or always `sorted`.
    """

    def __init__(
        self,
        split: PairSplit,
        *,
        batch_tokens: int,
        seed: int = 0,
        order: Literal["shuffled", "sorted"] = "shuffled",
        longest: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.split, self.longest = split, longest
        lengths_2N = np.stack([split.source.length_N, split.target.length_N])
        longer_N, self._both_N = lengths_2N.max(axis=0), lengths_2N.sum(axis=0)
        places = np.flatnonzero(longer_N <= (longer_N.max() if longest is None else longest))
        self.num_left_out = len(split) - len(places)
        if len(places) < world_size:
            raise BenchError(
                f"{len(places):,} pairs of at most {longest} tokens are too few for "
                f"{world_size} processes: allow longer ones, or use fewer processes"
            )
        super().__init__(
            longer_N + 1,
            places,
            batch_tokens=batch_tokens,
            seed=seed,
            order=order,
            rank=rank,
            world_size=world_size,
        )
        self._pairs = _checksum(split)

    def _by_length(self, places: Ids, stream: np.random.PCG64 | None) -> Ids:
        """By the longer side, then roughly by both together."""
        jitter_N = np.zeros(1) if stream is None else JITTER_TOKENS * uniform(stream, len(places))
        return np.lexsort((-(self._both_N[places] + jitter_N), -self._length_N[places]))

    def batch(self, whole: Ids) -> TranslationBatch:
        """Make this rank's part of the batch with the places `whole`."""
        mine = self._mine(whole)
        source_BS, source_lengths_B = self.split.source.padded(mine, end=END)
        target_BT, target_lengths_B = self.split.target.padded(mine, end=END)
        num_target_tokens = int(self.split.target.length_N[whole].sum()) + len(whole)
        return TranslationBatch(
            source=torch.from_numpy(source_BS),
            source_lengths=torch.from_numpy(source_lengths_B),
            target=torch.from_numpy(target_BT),
            target_lengths=torch.from_numpy(target_lengths_B),
            places=torch.from_numpy(mine.copy()),
            num_sentences=torch.tensor(len(whole)),
            num_target_tokens=torch.tensor(num_target_tokens),
        )

    def sizes(self, of: Ids) -> tuple[int, ...]:
        """Source tokens, target tokens, and pairs of the two, of this rank's part of a batch."""
        mine = self._mine(of)
        num_source, num_target = (
            int(rows.length_N[mine].max()) + 1 for rows in (self.split.source, self.split.target)
        )
        return tuple(len(mine) * n for n in (num_source, num_target, num_source * num_target))

    def _identity(self) -> State:
        return {**super()._identity(), "pairs": self._pairs, "longest": self.longest}


def _checksum(split: PairSplit) -> str:
    digest = hashlib.sha256()
    for rows in (split.source, split.target):
        digest.update(np.ascontiguousarray(rows.flat, "<i4").tobytes())
        digest.update(np.ascontiguousarray(rows.length_N, "<i8").tobytes())
    return digest.hexdigest()[:16]
