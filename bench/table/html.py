"""Sections of columns as one HTML page that needs nothing else."""

from __future__ import annotations

import re
from html import escape

from bench.table.column import Column
from bench.table.markup import Section

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
