"""Batches that come in parts, one after another, for machines that cannot hold a whole one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.core.errors import BenchError


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
