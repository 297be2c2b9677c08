"""Overview page: one line per task, and the latest runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.record import Record
from bench.report.content import TaskContent, split_label, truncate
from bench.report.tables import COMPARED, base_verdict, count_verdicts
from bench.table import Row
from bench.table.column import mean_std

NUM_LATEST = 8


@dataclass(frozen=True, kw_only=True)
class TaskSummary:
    """A task on the overview page."""

    content: TaskContent
    best: str
    best_name: str
    best_settings: str
    bound: float | None
    num_compared: int
    num_published: int
    verdicts: list[tuple[str, str, int]]
    """Verdicts on the measured published rows."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Counts over all tasks, a line for each, and the latest runs."""

    tasks: list[TaskSummary]
    num_runs: int
    num_configurations: int
    num_published: int
    verdicts: list[tuple[str, str, int]]
    latest: list[Record]
    started: list[tuple[str, str]]
    """Task and name of the runs without a record."""


def build_overview(contents: Sequence[TaskContent]) -> Overview:
    """Build the content of the overview page."""
    records = [record for content in contents for record in content.records]
    return Overview(
        tasks=[_summary(content) for content in contents],
        num_runs=len(records),
        num_configurations=len({(r.task, r.digest or r.id, r.signature) for r in records}),
        num_published=sum(len(_published(content)) for content in contents),
        verdicts=count_verdicts(row for content in contents for row in _compared(content)),
        latest=sorted(records, key=lambda record: record.finished, reverse=True)[:NUM_LATEST],
        started=[(content.task, name) for content in contents for name in content.started],
    )


def _summary(content: TaskContent) -> TaskSummary:
    best = _best(content)
    name, settings = split_label(best.label) if best else ("", "")
    compared = _compared(content)
    return TaskSummary(
        content=content,
        best=mean_std(best.measured, best.metric) if best else "",
        best_name=name,
        best_settings=truncate(settings, 30),
        bound=best.bound if best else None,
        num_compared=len(compared),
        num_published=len(_published(content)),
        verdicts=count_verdicts(compared),
    )


def _published(content: TaskContent) -> list[Row]:
    return [row for row in content.table.rows if row.where is not None]


def _compared(content: TaskContent) -> list[Row]:
    return [row for row in _published(content) if base_verdict(row) in COMPARED]


def _best(content: TaskContent) -> Row | None:
    """Best measured mean under the table's main signature."""
    block = next((b for b in content.table.blocks if any(row.measured for row in b)), [])
    sign = 1 if content.table.direction == "min" else -1
    means = {i: row.measured.mean for i, row in enumerate(block) if row.measured}
    return block[min(means, key=lambda i: sign * means[i])] if means else None
