"""Formats of a table: text, Markdown, LaTeX, HTML, CSV and JSON."""

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
from bench.table.column import Column, Footnotes
from bench.table.layout import DEFAULT_LAYOUT, Layout, check_columns, group_rows
from bench.table.legend import legend
from bench.table.markup import Section, to_latex, to_markdown, to_text
from bench.table.rows import Row
from bench.table.sections import comparison_sections, cost_section

Format = Literal["text", "md", "latex", "csv", "json", "html"]
Cost = Literal["hidden", "shown"]
_HIGHLIGHTS = {"text": "*", "md": "Bold", "latex": "Bold", "html": "Bold"}

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


def render(
    table: Table,
    format: Format = "text",
    *,
    cost: Cost = "hidden",
    layout: Layout = DEFAULT_LAYOUT,
    width: int | None = None,
) -> str:
    """Render the table as text that ends with a newline.

    `cost="shown"` adds the costs of the runs, which CSV and JSON always contain; a layout's columns
    are keys in these two formats. `width` is that of the terminal, for `text` only; without it no
    line is wrapped. Raises BenchError for columns that the table lacks.
    """
    if format not in get_args(Format):
        raise BenchError(f"unknown format {format!r}, {nearest(format, get_args(Format))}")
    if format in ("json", "csv"):
        grouped = group_rows(table.blocks, layout.group_by)
        rows = [row for block, _ in grouped for row in block]
        return _to_json(rows, layout) if format == "json" else _to_csv(rows, layout)
    if not table.rows:
        return f"No published rows and no records of {table.task} yet.\n"
    notes = Footnotes()
    sections = comparison_sections(table, layout, notes)
    if cost == "shown" and any(row.measured for row in table.rows):
        sections.append(cost_section(table, notes))
    shown = {column.key for section in sections for column in section.columns}
    lines = legend(table, notes, highlight=_HIGHLIGHTS[format], shown=shown)
    if format == "md":
        return to_markdown(sections, lines)
    if format == "latex":
        return to_latex(sections, lines, title=table.title, label=table.task)
    if format == "html":
        return to_html(sections, lines, title=table.title)
    return to_text(sections, lines, title=table.title, width=width)


def _to_json(rows: list[Row], layout: Layout) -> str:
    selected = [_select(msgspec.to_builtins(row), layout) for row in rows]
    return json.dumps(selected, indent=2, ensure_ascii=False) + "\n"


def _to_csv(rows: list[Row], layout: Layout) -> str:
    """One line per row: nested values as JSON, run ids separated by blanks."""
    file = io.StringIO()
    names = list(_select(_flatten(Row(label="", metric="", verdict="", split="")), layout))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_select(_flatten(row), layout) for row in rows)
    return file.getvalue()


def _select(row: dict[str, Any], layout: Layout) -> dict[str, Any]:
    check_columns(layout.columns, row)
    return {key: row[key] for key in layout.columns or row}


def _flatten(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in msgspec.to_builtins(row).items():
        if key == "measured":
            parts = value or {"mean": None, "std": None, "n": None}
            flat.update({f"measured_{part}": number for part, number in parts.items()})
        elif key in ("config", "beside", "published_beside", "target", "tested"):
            flat[key] = "" if value is None else json.dumps(value, ensure_ascii=False)
        else:
            flat[key] = " ".join(value) if isinstance(value, list) else value
    return flat


def to_html(sections: list[Section], legend: list[str], *, title: str) -> str:
    """Self-contained HTML page of tables with the legend under them."""
    body = [f"<h1>{escape(title)}</h1>", *(_html_table(section) for section in sections)]
    if legend:
        body += ["<ul>", *(f"<li>{_html_text(line)}</li>" for line in legend), "</ul>"]
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
    ]
    parts = ["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>"]
    return "\n".join([*parts, "<body>", *body, "</body>", "</html>"]) + "\n"


def _html_table(section: Section) -> str:
    kinds = [' class="number"' if column.is_number else "" for column in section.columns]
    headings = (
        f'<th{kind} scope="col">{escape(column.name)}</th>'
        for kind, column in zip(kinds, section.columns, strict=True)
    )
    lines = ["<tbody>"]
    for i, cells in enumerate(section.lines(_html_cell, best="<strong>{}</strong>")):
        if i in section.headings:
            span = f'colspan="{len(cells)}" scope="rowgroup"'
            heading = f"<th {span}>{escape(section.headings[i])}</th>"
            lines += [
                *(["</tbody>", "<tbody>"] if i else []),
                f'<tr class="group">{heading}</tr>',
            ]
        first, *others = zip(kinds, cells, strict=True)
        label = '<th{} scope="row">{}</th>'.format(*first)
        values = (f"<td{kind}>{cell}</td>" for kind, cell in others)
        lines.append(f"<tr>{label}{''.join(values)}</tr>")
    caption = f"<caption>{_html_text(section.title[:1].upper() + section.title[1:])}.</caption>"
    head = f"<thead><tr>{''.join(headings)}</tr></thead>"
    rows = "\n".join([*lines, "</tbody>"])
    return f'<div class="wide">\n<table>\n{caption}\n{head}\n{rows}\n</table>\n</div>'


def _html_cell(_: Column, cell: str) -> str:
    return escape(cell)


def _html_text(line: str) -> str:
    """Line of prose as HTML, with text in backquotes as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(line))
