"""Tables of published and measured values, in every format."""

from __future__ import annotations

from pathlib import Path

from bench.core.published import load_published
from bench.core.record import write_atomically
from bench.core.suite import Suite
from bench.table.build import Table, build_table, measured_rows, published_rows
from bench.table.column import Rounding
from bench.table.formats import Cost, Format, render
from bench.table.layout import Layout
from bench.table.rows import Row

__all__ = [
    "Cost",
    "Format",
    "Layout",
    "Rounding",
    "Row",
    "Table",
    "build_table",
    "measured_rows",
    "published_rows",
    "render",
    "task_table",
    "write_table",
]


def task_table(
    suite: Suite,
    task: str,
    *,
    split: str = "test",
    target: float | None = None,
) -> Table:
    """Build the table of `task` from the files of `suite`; see `build_table`."""
    return build_table(
        suite.card(task),
        load_published(suite, task),
        suite.records(task),
        split=split,
        target=target,
    )


def write_table(suite: Suite, task: str) -> Path:
    """Write `results/<task>/table.md`; equal rows and records give equal bytes."""
    table = task_table(suite, task)
    text = (
        f"# {table.title}\n\n"
        f"Written by `make tables` from `published.yaml` and `runs/`; edits here are lost.\n\n"
        f"{render(table, 'md', cost='shown')}"
    )
    path = suite.folder / "results" / task / "table.md"
    write_atomically(path, text.encode())
    return path
