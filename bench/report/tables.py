"""Tables of a task's page: those of `bench table`, with verdicts, details and links to runs."""

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
"""Verdicts in order, each with its own sign, so that colour is never the only distinction."""
COMPARED = ("reproduced", "better", "worse", "not comparable")
"""Verdicts on published values that have been measured."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of `bench table`."""

    column: str
    text: str
    is_number: bool
    is_best: bool
    notes: Sequence[str] = ()
    """Numbers of the footnotes that it refers to."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table."""

    row: Row
    index: int
    """Index in its block."""
    name: str
    settings: str
    verdict: str
    cells: list[Cell]
    details: list[tuple[str, str]]
    """Names and texts shown on hover."""
    runs: list[tuple[str, int]]
    """Names and seeds of its runs."""

    @property
    def sign(self) -> str:
        """Sign of the verdict."""
        return VERDICTS.get(self.verdict, "")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows of one signature."""

    title: str
    columns: list[Column]
    headings: list[Cell]
    lines: list[Line]

    @property
    def verdicts(self) -> list[tuple[str, str, int]]:
        """Verdict, sign and number of rows: the filters of the block."""
        return count_verdicts(line.row for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Content of `bench table --cost` for a task."""

    blocks: list[Block]
    cost: list[Column]
    notes: list[str]


def build_tables(content: TaskContent) -> Tables:
    """Build the tables of a task with the cells, marks and footnotes of `bench table`."""
    table, notes = content.table, Footnotes()
    sections = comparison_sections(table, DEFAULT_LAYOUT, notes)
    blocks = [
        Block(
            title=section.title[:1].upper() + section.title[1:],
            columns=section.columns,
            headings=[_cell(column, column.name) for column in section.columns],
            lines=[_line(content, row, section.columns, i) for i, row in enumerate(rows)],
        )
        for section, rows in zip(sections, filter(None, table.blocks), strict=True)
    ]
    cost = cost_section(table, notes).columns if any(row.measured for row in table.rows) else []
    shown = {column.key for section in sections for column in section.columns}
    shown |= {column.key for column in cost}
    lines = legend(table, notes, highlight="Bold", shown=shown)
    return Tables(blocks=blocks, cost=cost, notes=lines)


def base_verdict(row: Row) -> str:
    """Verdict without the score it is on and without the number of seeds."""
    plain = re.sub(r"^[\w-]+: | \(\d+ seeds?\)$", "", row.verdict)
    return plain if plain in VERDICTS else "not run"


def count_verdicts(rows: Iterable[Row]) -> list[tuple[str, str, int]]:
    """Verdict, sign and number of rows, in the order of `VERDICTS`."""
    counts = Counter(map(base_verdict, rows))
    return [(name, sign, counts[name]) for name, sign in VERDICTS.items() if counts[name]]


def _line(content: TaskContent, row: Row, columns: list[Column], index: int) -> Line:
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
    return Line(
        row=row,
        index=index,
        name=name,
        settings=settings,
        verdict=base_verdict(row),
        cells=[_cell(column, column.cells[index], index) for column in columns],
        details=[(key, text) for key, text in details.items() if text],
        runs=runs,
    )


def _cell(column: Column, text: str, index: int | None = None) -> Cell:
    return Cell(
        column=column.name,
        text=re.sub(r" ?\[\d+\]", "", text),
        is_number=column.is_number,
        is_best=index in column.best,
        notes=re.findall(r"\[(\d+)\]", text),
    )
