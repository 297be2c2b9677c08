"""The tables of `bench table` with what a page adds: verdicts in colour, details, links."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
"""Verdicts, best news first, each with a sign of its own, so that colour is never all."""
COMPARED = ("reproduced", "better", "worse", "not comparable")
"""Verdicts on published numbers that something has measured."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell as `bench table` writes it."""

    column: str
    text: str
    is_number: bool
    is_best: bool
    notes: Sequence[str] = ()
    """Numbers of the notes that it refers to."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table."""

    row: Row
    place: int
    """In its block."""
    name: str
    settings: str
    verdict: str
    cells: list[Cell]
    details: list[tuple[str, str]]
    """What a pointer that rests on the row is shown."""
    runs: list[tuple[str, int]]
    """Names and seeds of the runs behind it."""

    @property
    def sign(self) -> str:
        """The verdict's."""
        return VERDICTS.get(self.verdict, "")


@dataclass(frozen=True, kw_only=True)
class Block:
    """The rows of one signature."""

    title: str
    columns: list[Column]
    heads: list[Cell]
    lines: list[Line]

    @property
    def verdicts(self) -> list[tuple[str, str, int]]:
        """Verdict, sign, number of rows; what can be filtered by."""
        return tally(line.row for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class Tables:
    """All that `bench table --cost` shows of a task."""

    blocks: list[Block]
    cost: list[Column]
    notes: list[str]


def tables_of(content: TaskContent) -> Tables:
    """The tables of a task: the same cells, marks and notes as those of `bench table`."""
    table, notes = content.table, Footnotes()
    sections = comparison_sections(table, DEFAULT_LAYOUT, notes)
    blocks = [
        Block(
            title=section.title[:1].upper() + section.title[1:],
            columns=section.columns,
            heads=[_cell(column, column.name) for column in section.columns],
            lines=[_line(content, row, section.columns, place) for place, row in enumerate(rows)],
        )
        for section, rows in zip(sections, filter(None, table.blocks), strict=True)
    ]
    cost = cost_section(table, notes).columns if any(row.measured for row in table.rows) else []
    shown = {column.key for section in sections for column in section.columns}
    shown |= {column.key for column in cost}
    return Tables(
        blocks=blocks, cost=cost, notes=legend(table, notes, highlight="Bold", shown=shown)
    )


def verdict_of(row: Row) -> str:
    """The verdict without the score that it is on, and without the number of seeds."""
    plain = re.sub(r"^[\w-]+: | \(\d+ seeds?\)$", "", row.verdict)
    return plain if plain in VERDICTS else "not run"


def tally(rows: Iterable[Row]) -> list[tuple[str, str, int]]:
    """Verdict, sign, number of rows, in the order of `VERDICTS`."""
    counts = Counter(map(verdict_of, rows))
    return [(name, sign, counts[name]) for name, sign in VERDICTS.items() if counts[name]]


def _line(content: TaskContent, row: Row, columns: list[Column], place: int) -> Line:
    name, settings = split_label(row.label)
    records = content.records_of(row)
    return Line(
        row=row,
        place=place,
        name=name,
        settings=settings,
        verdict=verdict_of(row),
        cells=[_cell(column, column.cells[place], place) for column in columns],
        details=_details(content, row),
        runs=[(record.id, record.seed) for record in records],
    )


def _cell(column: Column, text: str, place: int | None = None) -> Cell:
    return Cell(
        column=column.name,
        text=re.sub(r" ?\[\d+\]", "", text),
        is_number=column.is_number,
        is_best=place in column.best,
        notes=re.findall(r"\[(\d+)\]", text),
    )


def _details(content: TaskContent, row: Row) -> list[tuple[str, str]]:
    seeds = ", ".join(str(record.seed) for record in content.records_of(row))
    # The task's own protocol stands once on the page; the script shows it where it is meant.
    protocol = "same" if row.protocol in (None, "same") else f"differs: {row.protocol}"
    details = {
        "Settings": split_label(row.label)[1],
        "Signature": row.signature or "",
        "Source": source(row),
        "Seeds": seeds,
        "Why": row.why or "",
        "Protocol": protocol,
    }
    return [(name, text) for name, text in details.items() if text]
