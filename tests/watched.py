"""Splits of a corpus that tell what was read of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Watched(Mapping[str, Any]):
    """Splits that remember in which order they were asked for."""

    def __init__(self, splits: Mapping[str, Any], asked: list[str]) -> None:
        self._splits, self._asked = splits, asked

    def __getitem__(self, split: str) -> Any:
        self._asked.append(split)
        return self._splits[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)
