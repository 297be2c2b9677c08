"""A loader whose place in its epochs can be saved and restored exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from bench.core.errors import BenchError

BatchT = TypeVar("BatchT")
State = dict[str, int | str | None]


class ResumableBatches(ABC, Generic[BatchT]):
    """Epochs of batches; a subclass says which they are and what must not change between sittings.

    The place moves on before a batch is handed out: a state taken while a batch is in use names
    the next one.
    """

    def __init__(self) -> None:
        self._epoch = self._place = 0
        self._restored = False

    @abstractmethod
    def __len__(self) -> int:
        """Batches of an epoch."""

    @abstractmethod
    def epoch_order(self, epoch: int) -> Sequence[Any] | npt.NDArray[np.int64]:
        """What `batch` makes each batch of an epoch from, in order."""

    @abstractmethod
    def batch(self, of: Any) -> BatchT:
        """This rank's part of one batch."""

    @abstractmethod
    def sizes(self, of: Any) -> tuple[int, ...]:
        """What the memory of this rank's part of a batch may grow with, padding included."""

    def largest(self) -> list[BatchT]:
        """The batches of an epoch that are largest in one of these sizes; no other is made."""
        order = self.epoch_order(0)
        sizes = np.array([self.sizes(of) for of in order])
        return [self.batch(order[place]) for place in dict.fromkeys(sizes.argmax(axis=0).tolist())]

    @abstractmethod
    def _identity(self) -> State:
        """What a saved place belongs to: examples, size, order, seed."""

    def __iter__(self) -> Iterator[BatchT]:
        if not self._restored and self._place < len(self):
            self._place = 0  # an epoch that was left is begun anew
        self._restored = False
        if self._place >= len(self):
            self._epoch, self._place = self._epoch + 1, 0
        order = self.epoch_order(self._epoch)
        while self._place < len(self):
            self._place += 1
            yield self.batch(order[self._place - 1])

    def every(self, step: int, *, first: int = 0) -> Iterator[BatchT]:
        """Batches `first`, `first + step` and so on of the first epoch; the place stays."""
        for of in self.epoch_order(0)[first::step]:
            yield self.batch(of)

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is of this epoch, from its beginning unless it was left in it."""
        if epoch != self._epoch:
            self._epoch, self._place = epoch, 0

    def state_dict(self) -> State:
        """The place of the next batch, with what must not change until it is restored."""
        return {"place": self._place, "epoch": self._epoch, **self._identity()}

    def load_state_dict(self, state: State) -> None:
        """Begin the next iteration at the saved place of the saved epoch.

        Raises BenchError for a state of other batches: other examples, size, order or seed.
        """
        saved = {name: value for name, value in state.items() if name not in ("place", "epoch")}
        if saved != self._identity():
            raise BenchError(
                f"the saved place belongs to batches of {saved}, these are {self._identity()}: "
                "start the run again with `--again`"
            )
        self._place, self._epoch = int(state["place"] or 0), int(state["epoch"] or 0)
        self._restored = True


def batch_edges(
    length_N: npt.NDArray[np.int64], batch_tokens: int, *, at_least: int = 1
) -> list[int]:
    """Edges that cut falling lengths into batches of at most `batch_tokens` when padded.

    Each batch has `at_least` examples; a last one with fewer joins the one before.
    """
    edges = [0]
    while edges[-1] < len(length_N):
        first = edges[-1]
        size = max(at_least, batch_tokens // int(length_N[first]), 1)
        rest = len(length_N) - first - size
        edges.append(first + size + (rest if rest < at_least else 0))
    return edges


# Batches that come in parts, one after another, for machines that cannot hold a whole one.


class Parts:
    """Part 0 of the first batch, part 1 of it, ...: `loaders[i]` has part i of every batch."""

    def __init__(self, loaders: Sequence[Any]) -> None:
        self.loaders = loaders

    def __len__(self) -> int:
        return len(self.loaders) * len(self.loaders[0])

    def __iter__(self) -> Iterator[Any]:
        for parts in zip(*self.loaders, strict=True):
            yield from parts

    def set_epoch(self, epoch: int) -> None:
        """As `ResumableBatches.set_epoch`, where the loaders have it."""
        for loader in self.loaders:
            if hasattr(loader, "set_epoch"):
                loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """The place of the next batch, to be asked for between two batches."""
        return {"parts": [loader.state_dict() for loader in self.loaders]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin at the saved place. Raises BenchError for one of another number of parts."""
        saved = state.get("parts", [state])
        if len(saved) != len(self.loaders):
            raise BenchError(
                f"the saved place belongs to batches in {len(saved)} parts, these are in "
                f"{len(self.loaders)}: start the run again with `--again`"
            )
        for loader, place in zip(self.loaders, saved, strict=True):
            loader.load_state_dict(place)


# One process's share of the batches of a split that is evaluated.


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
