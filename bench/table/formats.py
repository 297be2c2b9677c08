"""Tables in the formats that people and programs ask for."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Literal, get_args

import msgspec

from bench.core.errors import BenchError, nearest
from bench.table.build import Table
from bench.table.column import Notes
from bench.table.html import as_html
from bench.table.layout import PLAIN, Layout, chosen, in_groups
from bench.table.legend import legend
from bench.table.markup import as_latex, as_markdown, as_text
from bench.table.rows import Row
from bench.table.sections import comparison_sections, cost_section

Format = Literal["text", "md", "latex", "csv", "json", "html"]
Cost = Literal["hidden", "shown"]
_MARKS = {"text": "*", "md": "Bold", "latex": "Bold", "html": "Bold"}


def render(
    table: Table,
    format: Format = "text",
    *,
    cost: Cost = "hidden",
    layout: Layout = PLAIN,
    width: int | None = None,
) -> str:
    """The table as text that ends with a line break.

    `cost="shown"` adds what the runs took, which CSV and JSON hold anyway; the columns that a
    layout names are for these two their keys. `width` is that of the terminal, for `text` only;
    without it no line is wrapped. Raises BenchError for names that the table does not have.
    """
    if format not in get_args(Format):
        raise BenchError(f"unknown format {format!r}, {nearest(format, get_args(Format))}")
    if format == "json":
        rows = [_picked(msgspec.to_builtins(row), layout) for row in _in_order(table, layout)]
        return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    if format == "csv":
        return _csv(_in_order(table, layout), layout)
    if not table.rows:
        return f"No published rows and no records of {table.task} yet.\n"
    notes = Notes()
    sections = comparison_sections(table, layout, notes)
    if cost == "shown" and any(row.measured for row in table.rows):
        sections.append(cost_section(table, notes))
    shown = {column.key for section in sections for column in section.columns}
    lines = legend(table, notes, mark=_MARKS[format], shown=shown)
    if format == "md":
        return as_markdown(sections, lines)
    if format == "latex":
        return as_latex(sections, lines, title=table.title, label=table.task)
    if format == "html":
        return as_html(sections, lines, title=table.title)
    return as_text(sections, lines, title=table.title, width=width)


def _in_order(table: Table, layout: Layout) -> list[Row]:
    if layout.group_by is None:
        return table.rows
    return [row for block, _ in in_groups(table.blocks, layout.group_by) for row in block]


def _csv(rows: list[Row], layout: Layout) -> str:
    """One line a row; nested values as JSON, run ids separated by blanks."""
    file = io.StringIO()
    names = list(_picked(_flat(Row(label="", metric="", verdict="", split="")), layout))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_picked(_flat(row), layout) for row in rows)
    return file.getvalue()


def _picked(row: dict[str, Any], layout: Layout) -> dict[str, Any]:
    return {key: row[key] for key in chosen(layout.columns, row)} if layout.columns else row


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in msgspec.to_builtins(row).items():
        if key == "measured":
            parts = value or {"mean": None, "std": None, "n": None}
            flat.update({f"measured_{part}": number for part, number in parts.items()})
        elif key in ("config", "beside", "published_beside"):
            flat[key] = json.dumps(value, ensure_ascii=False)
        elif key in ("target", "tested"):
            flat[key] = "" if value is None else json.dumps(value, ensure_ascii=False)
        else:
            flat[key] = " ".join(value) if isinstance(value, list) else value
    return flat
