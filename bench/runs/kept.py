"""What a run's evaluation left beside its weights: read where it lies, made again elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite

FoundT = TypeVar("FoundT")


def read_or_make(
    suite: Suite,
    record: Record,
    split: str,
    *,
    what: str,
    read: Callable[[Path, str], FoundT | None],
    missing: Literal["make", "leave"],
) -> FoundT:
    """What `read` finds in a finished run's folder, evaluated again first where it finds nothing.

    Raises BenchError where it is gone and cannot, or with `leave` may not, be made again. torch is
    loaded only where something has to be made.
    """
    folder = suite.artifacts(record.task, record.id)
    if (found := read(folder, split)) is not None:
        return found
    if missing == "leave":
        raise BenchError(
            f"{what} of the {split} split were not kept here; `--missing make` makes them again "
            "from the weights, or by fitting a baseline again"
        )
    from bench.runs.finished import bring_back
    from bench.runs.regenerate import regenerate

    regenerate(bring_back(suite, record), split)
    found = read(folder, split)
    assert found is not None
    return found
