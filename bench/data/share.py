"""One process's share of the batches of a split that is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Batches(Protocol):
    """What can be shared."""

    def every(self, step: int, *, first: int = 0) -> Iterator[Any]:
        """Batches `first`, `first + step` and so on, in their order."""
        ...


class BatchShare:
    """Every `world_size`-th batch from the `rank`-th, as one process with all of them makes it.

    Shares are unequal, and one without a batch is none the less evaluated to its end, where the
    processes tell each other what they found. Hence it has no length: Lightning passes over an
    evaluation of length 0.
    """

    def __init__(self, batches: Batches, *, rank: int, world_size: int) -> None:
        self._batches, self._rank, self._world_size = batches, rank, world_size

    def __iter__(self) -> Iterator[Any]:
        return self._batches.every(self._world_size, first=self._rank)
