"""Loaders of batches: resumable at an exact place, in parts, and shared among processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from bench.core.errors import BenchError
from bench.data.random import uniform

BatchT = TypeVar("BatchT")
State = dict[str, int | str | None]


class ResumableBatches(ABC, Generic[BatchT]):
    """Epochs of batches whose place can be saved and restored exactly.

    A subclass defines the batches, and the facts that must not change between sessions. The place
    advances before a batch is returned: a state taken while a batch is in use names the next one.
    """

    def __init__(self) -> None:
        self._epoch = self._place = 0
        self._restored = False

    @abstractmethod
    def __len__(self) -> int:
        """Number of batches of an epoch."""

    @abstractmethod
    def epoch_order(self, epoch: int) -> Sequence[Any] | npt.NDArray[np.int64]:
        """Arguments of `batch` for each batch of an epoch, in order."""

    @abstractmethod
    def batch(self, of: Any) -> BatchT:
        """Build this rank's part of one batch."""

    @abstractmethod
    def sizes(self, of: Any) -> tuple[int, ...]:
        """Sizes that the memory of this rank's part may grow with, padding included."""

    def largest(self) -> list[BatchT]:
        """Batches of an epoch that are largest in one of `sizes`; no other is built."""
        order = self.epoch_order(0)
        sizes = np.array([self.sizes(of) for of in order])
        return [self.batch(order[place]) for place in dict.fromkeys(sizes.argmax(axis=0).tolist())]

    @abstractmethod
    def _identity(self) -> State:
        """Facts that a saved place depends on: examples, size, order, seed."""

    def __iter__(self) -> Iterator[BatchT]:
        if not self._restored and self._place < len(self):
            self._place = 0  # restart an epoch that was left
        self._restored = False
        if self._place >= len(self):
            self._epoch, self._place = self._epoch + 1, 0
        order = self.epoch_order(self._epoch)
        while self._place < len(self):
            self._place += 1
            yield self.batch(order[self._place - 1])

    def every(self, step: int, *, first: int = 0) -> Iterator[BatchT]:
        """Batches `first`, `first + step` and so on of the first epoch; the place is unchanged."""
        for of in self.epoch_order(0)[first::step]:
            yield self.batch(of)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration, which resumes only within the current epoch."""
        if epoch != self._epoch:
            self._epoch, self._place = epoch, 0

    def state_dict(self) -> State:
        """Place of the next batch, and the facts that it depends on."""
        return {"place": self._place, "epoch": self._epoch, **self._identity()}

    def load_state_dict(self, state: State) -> None:
        """Start the next iteration at a saved place; BenchError if it is of other batches."""
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


class TokenBatches(ResumableBatches[BatchT]):
    """Batches of examples of similar length, of at most `batch_tokens` tokens after padding.

    Examples of equal length are shuffled in each epoch, and the batches have an order of their own;
    `sorted` keeps both. A batch is made over all ranks together and divided among them example by
    example, so that a setting means the same training on any number of ranks.
    """

    def __init__(
        self,
        length_N: npt.NDArray[np.int64],
        places: npt.NDArray[np.int64],
        *,
        batch_tokens: int,
        seed: int,
        order: Literal["shuffled", "sorted"],
        rank: int,
        world_size: int,
    ) -> None:
        super().__init__()
        if batch_tokens < 1:
            raise BenchError("batch_tokens must be at least 1")
        self.batch_tokens, self.seed, self.order = batch_tokens, seed, order
        self.rank, self.world_size = rank, world_size
        self._length_N, self._places = length_N, places
        falling = np.sort(length_N[places])[::-1]
        self._edges = batch_edges(falling, batch_tokens, at_least=world_size)

    def __len__(self) -> int:
        return len(self._edges) - 1

    def epoch_order(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """Places in the split of each batch of an epoch, in its order, over all ranks."""
        places, order = self._places, np.arange(len(self))
        stream = np.random.PCG64([self.seed, epoch]) if self.order == "shuffled" else None
        if stream is not None:
            places = places[np.argsort(uniform(stream, len(places)), kind="stable")]
        places = places[self._by_length(places, stream)]
        if stream is not None:
            order = np.argsort(uniform(stream, len(self)), kind="stable")
        return [places[self._edges[number] : self._edges[number + 1]] for number in order.tolist()]

    def _by_length(
        self, places: npt.NDArray[np.int64], stream: np.random.PCG64 | None
    ) -> npt.NDArray[np.int64]:
        """Order of `places` by falling length; `stream` draws where equal ones change places."""
        del stream
        return np.argsort(-self._length_N[places], kind="stable")

    def _mine(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """This rank's part of a batch."""
        return places[self.rank :: self.world_size]

    def _identity(self) -> State:
        return {
            "num_batches": len(self),
            "batch_tokens": self.batch_tokens,
            "seed": self.seed,
            "order": self.order,
        }


class MicroBatches:
    """Part 0 of the first batch, part 1 of it, ...: `loaders[i]` has part i of every batch."""

    def __init__(self, loaders: Sequence[Any]) -> None:
        self.loaders = loaders

    def __len__(self) -> int:
        return len(self.loaders) * len(self.loaders[0])

    def __iter__(self) -> Iterator[Any]:
        for parts in zip(*self.loaders, strict=True):
            yield from parts

    def set_epoch(self, epoch: int) -> None:
        for loader in self.loaders:
            if hasattr(loader, "set_epoch"):
                loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Place of the next batch, to be saved between two batches."""
        return {"parts": [loader.state_dict() for loader in self.loaders]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start at a saved place; BenchError if it has another number of parts."""
        saved = state.get("parts", [state])
        if len(saved) != len(self.loaders):
            raise BenchError(
                f"the saved place belongs to batches in {len(saved)} parts, these are in "
                f"{len(self.loaders)}: start the run again with `--again`"
            )
        for loader, place in zip(self.loaders, saved, strict=True):
            loader.load_state_dict(place)


class Batches(Protocol):
    """Batches that processes can share."""

    def every(self, step: int, *, first: int = 0) -> Iterator[Any]:
        """Batches `first`, `first + step` and so on, in their order."""


class BatchShare:
    """Share of an evaluation: every `world_size`-th batch from the `rank`-th, built as by one
    process.

    Shares are unequal, and a process without a batch still takes part in the exchange of results at
    the end. Hence a share has no length: Lightning skips an evaluation of length 0.
    """

    def __init__(self, batches: Batches, *, rank: int, world_size: int) -> None:
        self._batches, self._rank, self._world_size = batches, rank, world_size

    def __iter__(self) -> Iterator[Any]:
        return self._batches.every(self._world_size, first=self._rank)
