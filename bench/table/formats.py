"""Tables in the formats that people and programs ask for."""

from __future__ import annotations

import csv
import io
import json
import re
from html import escape
from typing import Any, Literal, get_args

import msgspec

from bench.core.errors import BenchError, nearest
from bench.table.build import Table
from bench.table.column import Column, Notes
from bench.table.layout import PLAIN, Layout, chosen, in_groups
from bench.table.legend import legend
from bench.table.markup import Section, as_latex, as_markdown, as_text
from bench.table.rows import Row
from bench.table.sections import comparison_sections, cost_section

# Sections of columns as one HTML page that needs nothing else.


_STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; border-block: 2px solid; font-size: .9375rem;
  margin: 0 0 2rem; }
caption { text-align: start; padding: .5rem 0; }
th, td { padding: .2rem .8rem; text-align: start; vertical-align: top; }
thead th { border-block-end: 1px solid; font-weight: 600; }
tbody + tbody { border-block-start: 1px solid; }
th.number, td.number { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.group th { font-style: italic; font-weight: 400; }
tbody th { font-weight: 400; min-width: 14rem; }
ul { font-size: .875rem; padding-inline-start: 1.2rem; }
code { font-size: .9em; overflow-wrap: anywhere; }"""


def as_html(sections: list[Section], legend: list[str], *, title: str) -> str:
    """A page of tables with the legend under them."""
    body = [f"<h1>{escape(title)}</h1>", *(_table(section) for section in sections)]
    if legend:
        body += ["<ul>", *(f"<li>{_text(line)}</li>" for line in legend), "</ul>"]
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
    ]
    parts = ["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>"]
    return "\n".join([*parts, "<body>", *body, "</body>", "</html>"]) + "\n"


def _table(section: Section) -> str:
    names = (
        f'<th{_kind(column)} scope="col">{escape(column.name)}</th>' for column in section.columns
    )
    lines = ["<tbody>"]
    for place, cells in enumerate(section.lines(_cell, best="<strong>{}</strong>")):
        if place in section.headings:
            spanning = f'colspan="{len(cells)}" scope="rowgroup"'
            heading = (
                f'<tr class="group"><th {spanning}>{escape(section.headings[place])}</th></tr>'
            )
            lines += [*(["</tbody>", "<tbody>"] if place else []), heading]
        tags = [
            f"<{tag}{_kind(column)}{scope}>{cell}</{tag}>"
            for column, cell, (tag, scope) in zip(
                section.columns, cells, _tags(len(cells)), strict=True
            )
        ]
        lines.append(f"<tr>{''.join(tags)}</tr>")
    caption = f"<caption>{_text(section.title[:1].upper() + section.title[1:])}.</caption>"
    head = f"<thead><tr>{''.join(names)}</tr></thead>"
    rows = "\n".join([*lines, "</tbody>"])
    return f'<div class="wide">\n<table>\n{caption}\n{head}\n{rows}\n</table>\n</div>'


def _tags(num_cells: int) -> list[tuple[str, str]]:
    """The first cell names its row."""
    return [("th", ' scope="row"'), *[("td", "")] * (num_cells - 1)]


def _cell(_: Column, cell: str) -> str:
    return escape(cell)


def _kind(column: Column) -> str:
    return ' class="number"' if column.is_number else ""


def _text(line: str) -> str:
    """A line of prose; what stands in backquotes as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(line))


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
