"""Which labels were taken for which.

Shapes: L labels; row and column L stand for "nothing".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.speech.metrics.edits import Pair

NOTHING = "-"


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """Counts [L+1, L+1]: rows are reference labels, the last one insertions; columns what stood
    for them, the last one deletions."""

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, alignments: Iterable[Sequence[Pair]], labels: Sequence[str]) -> Confusion:
        """Count the pairs of some alignments over `labels`."""
        number: dict[str | None, int] = {label: i for i, label in enumerate(labels)}
        number[None] = len(labels)
        counts = np.zeros((len(labels) + 1, len(labels) + 1), dtype=np.int64)
        for pairs in alignments:
            for shown, heard in pairs:
                counts[number[shown], number[heard]] += 1
        return cls(labels=tuple(labels), counts=counts)

    def most_frequent(self, num_confusions: int) -> list[tuple[str, str, int]]:
        """The most frequent edits as (reference, hypothesis, count), NOTHING where there is none.

        Ties stand in the order of the labels.
        """
        names = (*self.labels, NOTHING)
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:num_confusions]
        rows, columns = np.unravel_index(order, wrong.shape)
        found = zip(rows.tolist(), columns.tolist(), strict=True)
        return [(names[i], names[j], int(wrong[i, j])) for i, j in found if wrong[i, j]]
