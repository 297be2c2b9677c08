"""Overview page: one line per task, and the latest runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.report.content import TaskContent, split_label, truncate
from bench.report.tables import COMPARED, base_verdict, count_verdicts
from bench.table import Row
from bench.table.column import mean_std

NUM_LATEST = 8


def build_overview(contents: Sequence[TaskContent]) -> dict[str, Any]:
    """Build the content of the overview page."""
    records = [record for content in contents for record in content.records]
    published = [row for content in contents for row in _published(content)]
    return {
        "tasks": [_summary(content) for content in contents],
        "num_runs": len(records),
        "num_configurations": len({(r.task, r.digest or r.id, r.signature) for r in records}),
        "num_published": len(published),
        "verdicts": count_verdicts(_compared(published)),
        "latest": sorted(records, key=lambda record: record.finished, reverse=True)[:NUM_LATEST],
        "started": [(content.task, name) for content in contents for name in content.started],
    }


def _summary(content: TaskContent) -> dict[str, Any]:
    best = _best(content)
    name, settings = split_label(best.label) if best else ("", "")
    published = _published(content)
    compared = _compared(published)
    return {
        "content": content,
        "best": mean_std(best.measured, best.metric) if best else "",
        "best_name": name,
        "best_settings": truncate(settings, 30),
        "bound": best.bound if best else None,
        "num_compared": len(compared),
        "num_published": len(published),
        "verdicts": count_verdicts(compared),
    }


def _published(content: TaskContent) -> list[Row]:
    return [row for row in content.table.rows if row.where is not None]


def _compared(published: Sequence[Row]) -> list[Row]:
    return [row for row in published if base_verdict(row) in COMPARED]


def _best(content: TaskContent) -> Row | None:
    """Best measured mean under the table's main signature."""
    block = next((b for b in content.table.blocks if any(row.measured for row in b)), [])
    sign = 1 if content.table.direction == "min" else -1
    means = {i: row.measured.mean for i, row in enumerate(block) if row.measured}
    return block[min(means, key=lambda i: sign * means[i])] if means else None
