"""Tables of a task's page: those of `bench table`, with verdicts, details and links to runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from bench.report.content import TaskContent, split_label
from bench.table import Row
from bench.table.cells import source
from bench.table.column import Column, Footnotes
from bench.table.layout import DEFAULT_LAYOUT
from bench.table.legend import legend
from bench.table.sections import comparison_sections, cost_section

VERDICTS = {
    "reproduced": "●",
    "better": "▲",
    "worse": "▼",
    "not comparable": "◆",
    "not published": "□",
    "not run": "○",
    "diverged": "✕",
    "bound": "─",
}
"""Verdicts in order, each with its own sign, so that colour is never the only distinction."""
COMPARED = ("reproduced", "better", "worse", "not comparable")
"""Verdicts on published values that have been measured."""


def build_tables(content: TaskContent) -> dict[str, Any]:
    """Build `blocks`, `cost` and `notes` of a task with the cells of `bench table --cost`."""
    table, notes = content.table, Footnotes()
    sections = comparison_sections(table, DEFAULT_LAYOUT, notes)
    blocks = [
        {
            "title": section.title[:1].upper() + section.title[1:],
            "columns": section.columns,
            "headings": [_cell(column, column.name) for column in section.columns],
            "lines": [_line(content, row, section.columns, i) for i, row in enumerate(rows)],
            "verdicts": count_verdicts(rows),
        }
        for section, rows in zip(sections, filter(None, table.blocks), strict=True)
    ]
    cost = cost_section(table, notes).columns if any(row.measured for row in table.rows) else []
    shown = {column.key for section in sections for column in section.columns}
    shown |= {column.key for column in cost}
    lines = legend(table, notes, highlight="Bold", shown=shown)
    return {"blocks": blocks, "cost": cost, "notes": lines}


def base_verdict(row: Row) -> str:
    """Verdict without the score it is on and without the number of seeds."""
    plain = re.sub(r"^[\w-]+: | \(\d+ seeds?\)$", "", row.verdict)
    return plain if plain in VERDICTS else "not run"


def count_verdicts(rows: Iterable[Row]) -> list[tuple[str, str, int]]:
    """Verdict, sign and number of rows, in the order of `VERDICTS`."""
    counts = Counter(map(base_verdict, rows))
    return [(name, sign, counts[name]) for name, sign in VERDICTS.items() if counts[name]]


def _line(content: TaskContent, row: Row, columns: list[Column], index: int) -> dict[str, Any]:
    name, settings = split_label(row.label)
    runs = [(run_id, content.by_id[run_id].seed) for run_id in row.records]
    details = {
        "Settings": settings,
        "Signature": row.signature or "",
        "Source": source(row),
        "Seeds": ", ".join(str(seed) for _, seed in runs),
        "Why": row.why or "",
        # The protocol of the task stands once on the page; the script inserts it for `same`.
        "Protocol": "same" if row.protocol in (None, "same") else f"differs: {row.protocol}",
    }
    verdict = base_verdict(row)
    return {
        "row": row,
        "index": index,
        "name": name,
        "settings": settings,
        "verdict": verdict,
        "sign": VERDICTS[verdict],
        "cells": [_cell(column, column.cells[index], index) for column in columns],
        "details": [(key, text) for key, text in details.items() if text],
        "runs": runs,
    }


def _cell(column: Column, text: str, index: int | None = None) -> dict[str, Any]:
    """Cell without the marks of footnotes, whose numbers are `notes`."""
    return {
        "column": column.name,
        "text": re.sub(r" ?\[\d+\]", "", text),
        "is_number": column.is_number,
        "is_best": index in column.best,
        "notes": re.findall(r"\[(\d+)\]", text),
    }
