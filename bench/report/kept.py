"""Which runs of a task left what they wrote, the best of each configuration first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.report.content import TaskContent
from bench.report.numbers import cut, split_label

SPLIT = "test"
MOST_MODELS = 6
KeptT = TypeVar("KeptT")


@dataclass(frozen=True, kw_only=True)
class Kept(Generic[KeptT]):
    """What one run wrote of the test split."""

    name: str
    settings: str
    record: Record
    outputs: KeptT


def kept_of(
    suite: Suite,
    content: TaskContent,
    path: Callable[[Path, str], Path],
    read: Callable[[Record], KeptT],
) -> tuple[list[Kept[KeptT]], list[str]]:
    """What some configurations wrote, the best on test first, and what cannot be read, in words.

    A run of each configuration; never more than `MOST_MODELS`.
    """
    sign = 1 if content.card.metric.direction == "min" else -1
    found: list[Kept[KeptT]] = []
    problems: list[str] = []
    seen: set[str] = set()
    finished = [r for r in content.records if r.status == "finished" and SPLIT in r.metrics]
    for record in sorted(finished, key=lambda r: (sign * r.metrics[SPLIT], r.id)):
        label = content.label_of(record)
        name, settings = split_label(label)
        there = path(suite.artifacts(record.task, record.id), SPLIT).is_file()
        if not there or label in seen or len(found) == MOST_MODELS:
            continue
        try:
            outputs = read(record)
        except BenchError as error:
            problems.append(str(error))
            continue
        seen.add(label)
        found.append(Kept(name=name, settings=cut(settings, 60), record=record, outputs=outputs))
    return found, problems


def spread(number: int, wanted: int) -> list[int]:
    """At most `wanted` places of `number`, evenly apart, the first and the last among them."""
    if number <= wanted:
        return list(range(number))
    return [round(i * (number - 1) / (wanted - 1)) for i in range(wanted)]
