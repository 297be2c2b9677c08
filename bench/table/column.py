"""A column of a table for people, its notes, and how many decimals a number has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.core.statistics import Measured
from bench.core.structs import Frozen
from bench.table.rows import Row

UNVERIFIED = "†"
APART = {"seeds": "‡", "units": "§"}
"""What the test was over that told a row apart -> its mark."""
# Decimals where no spread says how many are meaningful; two for any other metric.
_USUAL_DECIMALS = {"perplexity": 1, "bits per character": 3}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its cells as plain text, one for each row of a block."""

    name: str
    cells: list[str]
    kind: Literal["text", "number"]
    best: frozenset[int] = frozenset()
    """The cells that stand out."""
    key: str = ""
    """What a reader asks for it by."""

    @property
    def is_number(self) -> bool:
        return self.kind == "number"


class Notes:
    """Numbered notes; the same text has one number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """The mark that refers to `text`: `[1]`."""
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"


@dataclass(frozen=True, kw_only=True)
class Maker:
    """How a column is made of rows."""

    name: str
    """What a reader asks for it by."""
    heading: str
    note: str | None = None
    """A note on the heading."""
    cell: Callable[[Row, Notes], str]
    kind: Literal["text", "number"] = "number"
    marks: Literal["best", "none"] = "none"
    """Whether the cells of ranked rows stand out."""


def make_columns(
    makers: Sequence[Maker],
    block: Sequence[Row],
    notes: Notes,
    *,
    empty: Literal["left out", "shown"] = "left out",
) -> list[Column]:
    """The columns of `block`; notes are numbered in reading order, those of headings first."""
    headings = [
        f"{maker.heading} {notes.mark(maker.note)}" if maker.note else maker.heading
        for maker in makers
    ]
    lines = [[maker.cell(row, notes) for maker in makers] for row in block]
    best = frozenset(place for place, row in enumerate(block) if row.rank)
    columns = [
        Column(
            name=heading,
            key=maker.name,
            cells=[line[place] for line in lines],
            kind=maker.kind,
            best=best if maker.marks == "best" else frozenset(),
        )
        for place, (maker, heading) in enumerate(zip(makers, headings, strict=True))
    ]
    return [column for column in columns if empty == "shown" or any(column.cells)]


class Rounding(Frozen, frozen=True, kw_only=True):
    """How measured numbers are rounded."""

    decimals: int | None = None
    """The same for all; as many as the spread allows unless given."""
    spread_digits: int = 2
    """Significant digits of the spread."""

    def decimals_of(self, measured: Measured | None, metric: str) -> int:
        """Decimals of a mean, and of what stands in its unit beside it."""
        if self.decimals is not None:
            return self.decimals
        spread = None if measured is None else measured.std
        return num_decimals(spread, metric, digits=self.spread_digits)


BY_SPREAD = Rounding()


def num_decimals(spread: float | None, metric: str, *, digits: int = 2) -> int:
    """Decimals that show so many significant digits of `spread`; the metric's usual without one."""
    if not spread:
        return _USUAL_DECIMALS.get(metric.replace("-", " ").replace("_", " "), 2)
    exponent = int(f"{spread:.{digits - 1}e}".partition("e")[2])
    return max(0, digits - 1 - exponent)


def mean_std(measured: Measured | None, metric: str, rounding: Rounding = BY_SPREAD) -> str:
    """Mean and spread in the decimals that `rounding` says; nothing of nothing."""
    if measured is None:
        return ""
    decimals = rounding.decimals_of(measured, metric)
    mean = f"{measured.mean:.{decimals}f}"
    return mean if measured.std is None else f"{mean} ± {measured.std:.{decimals}f}"
