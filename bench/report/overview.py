"""The first page: every task in a line, and what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.record import Record
from bench.report.content import TaskContent, cut, split_label
from bench.report.tables import COMPARED, tally, verdict_of
from bench.table import Row
from bench.table.column import mean_std

NUM_LATEST = 8


@dataclass(frozen=True, kw_only=True)
class TaskLine:
    """A task on the first page."""

    content: TaskContent
    best: str
    best_of: str
    best_settings: str
    bound: float | None
    num_compared: int
    num_published: int
    verdicts: list[tuple[str, str, int]]
    """Of the published rows that are measured."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Counts over all tasks, a line for each, and the latest runs."""

    lines: list[TaskLine]
    num_runs: int
    num_configurations: int
    num_published: int
    verdicts: list[tuple[str, str, int]]
    latest: list[Record]
    begun: list[tuple[str, str]]
    """Task and run, without a record yet."""


def overview(contents: Sequence[TaskContent]) -> Overview:
    """What the first page says."""
    records = [record for content in contents for record in content.records]
    compared = [row for content in contents for row in _compared(content)]
    return Overview(
        lines=[_line(content) for content in contents],
        num_runs=len(records),
        num_configurations=len({(r.task, r.digest or r.id, r.signature) for r in records}),
        num_published=sum(len(_published(content)) for content in contents),
        verdicts=tally(compared),
        latest=sorted(records, key=lambda record: record.finished, reverse=True)[:NUM_LATEST],
        begun=[(content.task, name) for content in contents for name in content.begun],
    )


def _line(content: TaskContent) -> TaskLine:
    best = _best(content)
    name, settings = split_label(best.label) if best else ("", "")
    return TaskLine(
        content=content,
        best=mean_std(best.measured, best.metric) if best else "",
        best_of=name,
        best_settings=cut(settings, 30),
        bound=best.bound if best else None,
        num_compared=len(_compared(content)),
        num_published=len(_published(content)),
        verdicts=tally(_compared(content)),
    )


def _published(content: TaskContent) -> list[Row]:
    return [row for row in content.table.rows if row.where is not None]


def _compared(content: TaskContent) -> list[Row]:
    return [row for row in _published(content) if verdict_of(row) in COMPARED]


def _best(content: TaskContent) -> Row | None:
    """The best measured mean under the table's main signature."""
    block = next((b for b in content.table.blocks if any(row.measured for row in b)), [])
    sign = 1 if content.table.direction == "min" else -1
    means = {i: row.measured.mean for i, row in enumerate(block) if row.measured}
    return block[min(means, key=lambda i: sign * means[i])] if means else None
