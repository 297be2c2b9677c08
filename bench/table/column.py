"""Columns of a table: specification, cells, footnotes and rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.core.statistics import Measured
from bench.core.structs import Frozen
from bench.table.rows import Row

UNVERIFIED_MARK = "†"
SIGNIFICANCE_MARKS = {"seeds": "‡", "units": "§"}
"""Mark of a significant difference, by what its test resamples."""
_USUAL_DECIMALS = {"perplexity": 1, "bits per character": 3}
"""Decimals of a metric that has no standard deviation; 2 for any other."""

Kind = Literal["text", "number"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: a heading and a cell of plain text for each row of a block."""

    name: str
    cells: list[str]
    kind: Kind
    best: frozenset[int] = frozenset()
    """Indices of the highlighted cells."""
    key: str = ""
    """Name by which a layout selects it."""

    @property
    def is_number(self) -> bool:
        return self.kind == "number"


class Footnotes:
    """Numbered footnotes; equal texts share a number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """Reference to `text`, such as `[1]`."""
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"


@dataclass(frozen=True, kw_only=True)
class ColumnSpec:
    """Specification of a column: its heading, and the function from a row to a cell."""

    key: str
    """Name by which a layout selects it."""
    name: str
    note: str | None = None
    """Footnote on the heading."""
    cell: Callable[[Row, Footnotes], str]
    kind: Kind = "number"
    highlight: Literal["best", "none"] = "none"
    """Highlight the cells of ranked rows."""


def build_columns(
    specs: Sequence[ColumnSpec],
    block: Sequence[Row],
    notes: Footnotes,
    *,
    empty: Literal["omit", "keep"] = "omit",
) -> list[Column]:
    """Columns of `block`; footnotes are numbered in reading order, those of headings first."""
    names = [f"{spec.name} {notes.mark(spec.note)}" if spec.note else spec.name for spec in specs]
    lines = [[spec.cell(row, notes) for spec in specs] for row in block]
    best = frozenset(i for i, row in enumerate(block) if row.rank)
    columns = [
        Column(
            name=name,
            key=spec.key,
            cells=[line[i] for line in lines],
            kind=spec.kind,
            best=best if spec.highlight == "best" else frozenset(),
        )
        for i, (spec, name) in enumerate(zip(specs, names, strict=True))
    ]
    return [column for column in columns if empty == "keep" or any(column.cells)]


class Rounding(Frozen, frozen=True, kw_only=True):
    """Rounding of measured numbers."""

    decimals: int | None = None
    """Fixed number of decimals; follows the standard deviation if None."""
    spread_digits: int = 2
    """Significant digits of the standard deviation."""

    def decimals_of(self, measured: Measured | None, metric: str) -> int:
        """Decimals of a mean and of numbers in the same unit beside it."""
        if self.decimals is not None:
            return self.decimals
        spread = None if measured is None else measured.std
        return num_decimals(spread, metric, digits=self.spread_digits)


DEFAULT_ROUNDING = Rounding()


def num_decimals(spread: float | None, metric: str, *, digits: int = 2) -> int:
    """Decimals that show `digits` significant digits of `spread`; the metric's usual without it."""
    if not spread:
        return _USUAL_DECIMALS.get(metric.replace("-", " ").replace("_", " "), 2)
    exponent = int(f"{spread:.{digits - 1}e}".partition("e")[2])
    return max(0, digits - 1 - exponent)


def mean_std(measured: Measured | None, metric: str, rounding: Rounding = DEFAULT_ROUNDING) -> str:
    """`115.3 ± 1.5`, the mean alone for one seed, or an empty string."""
    if measured is None:
        return ""
    decimals = rounding.decimals_of(measured, metric)
    mean = f"{measured.mean:.{decimals}f}"
    return mean if measured.std is None else f"{mean} ± {measured.std:.{decimals}f}"
