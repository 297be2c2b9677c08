"""The names of the splits of a corpus."""

from __future__ import annotations

from collections.abc import Iterable

SPLITS = ("train", "valid", "test")


def check_splits(names: Iterable[str], where: str) -> None:
    """Refuse names other than train, valid and test."""
    for name in names:
        if name not in SPLITS:
            raise ValueError(f"{where}: {name!r} is not one of {', '.join(SPLITS)}")
