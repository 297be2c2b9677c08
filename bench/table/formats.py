"""Tables in the formats that people and programs ask for."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Literal, get_args

import msgspec

from bench.errors import BenchError, nearest
from bench.table.build import Table
from bench.table.cells import comparison_columns, cost_columns
from bench.table.column import Notes
from bench.table.legend import legend, signature_line
from bench.table.markup import Section, as_latex, as_markdown, as_text
from bench.table.rows import Row

Format = Literal["text", "md", "latex", "csv", "json"]
Cost = Literal["hidden", "shown"]
_MARKS = {"text": "*", "md": "Bold", "latex": "Bold"}


def render(
    table: Table, format: Format = "text", *, cost: Cost = "hidden", width: int | None = None
) -> str:
    """The table as text that ends with a line break.

    `cost="shown"` adds what the runs took, which CSV and JSON hold anyway. `width` is that of
    the terminal, for `text` only; without it no line is wrapped.
    """
    if format not in get_args(Format):
        raise BenchError(f"unknown format {format!r}, {nearest(format, get_args(Format))}")
    if format == "json":
        return json.dumps(msgspec.to_builtins(table.rows), indent=2, ensure_ascii=False) + "\n"
    if format == "csv":
        return _csv(table.rows)
    if not table.rows:
        return f"No published rows and no records of {table.task} yet.\n"
    notes = Notes()
    sections = [
        Section(title=signature_line(table, block), columns=comparison_columns(block, notes))
        for block in table.blocks
        if block
    ]
    if cost == "shown" and any(row.measured for row in table.rows):
        sections.append(Section(title="cost, means over seeds", columns=cost_columns(table.rows)))
    lines = legend(table, notes, mark=_MARKS[format])
    if format == "md":
        return as_markdown(sections, lines)
    if format == "latex":
        return as_latex(sections, lines, title=table.title, label=table.task)
    return as_text(sections, lines, title=table.title, width=width)


def _csv(rows: list[Row]) -> str:
    """One line a row; nested values as JSON, run ids separated by blanks."""
    file = io.StringIO()
    names = list(_flat(Row(label="", metric="", verdict="", split="")))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(row) for row in rows)
    return file.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in msgspec.to_builtins(row).items():
        if key == "measured":
            parts = value or {"mean": None, "std": None, "n": None}
            flat.update({f"measured_{part}": number for part, number in parts.items()})
        elif key in ("config", "beside", "published_beside"):
            flat[key] = json.dumps(value, ensure_ascii=False)
        else:
            flat[key] = " ".join(value) if isinstance(value, list) else value
    return flat
