"""What stands in the cells of a table for people: rounding, marks, notes."""

from __future__ import annotations

import math
from collections.abc import Callable

from bench.table.beside import beside_columns
from bench.table.column import UNVERIFIED, Column, Notes, mean_std, num_decimals
from bench.table.rows import Row

_TEXT_COLUMNS = frozenset(("Model", "Verdict", "Protocol", "Source"))
_RANKED_COLUMN = "Measured"


def comparison_columns(block: list[Row], notes: Notes) -> list[Column]:
    """Published beside measured; columns in which nothing stands are left out."""
    makers: dict[str, Callable[[Row], str]] = {
        "Model": lambda row: row.label,
        "Published": _published,
        "Measured": _measured,
        "n": _seeds,
        "Diverged": lambda row: str(row.num_diverged or ""),
        "Difference": lambda row: _signed(row.difference, row),
        "Gap to bound": lambda row: _signed(row.excess, row),
        **beside_columns(block, notes),
        "Verdict": lambda row: f"{row.verdict} {notes.mark(row.why)}" if row.why else row.verdict,
        "Protocol": lambda row: _protocol(row, notes),
        "Source": source,
    }
    return _columns(makers, block)


def cost_columns(block: list[Row]) -> list[Column]:
    """What the measured rows took, means over seeds; a speed column for each unit."""
    measured = [row for row in block if row.measured]

    def speed(unit: str) -> Callable[[Row], str]:
        return lambda row: _figure(row.tokens_per_sec) if row.unit == unit else ""

    makers: dict[str, Callable[[Row], str]] = {
        "Model": lambda row: row.label,
        "Parameters": lambda row: _figure(row.num_parameters),
        "Seconds": lambda row: _figure(row.seconds),
        **{f"{unit.capitalize()}s/s": speed(unit) for unit in sorted({r.unit for r in measured})},
        "Memory": lambda row: _bytes(row.peak_memory_bytes),
    }
    return _columns(makers, measured)


def source(row: Row) -> str:
    """Citation key, place, and where the number was read."""
    if row.where is None:
        return ""
    return f"{row.cite or 'untraced'}, {row.where} ({row.verified})"


def _columns(makers: dict[str, Callable[[Row], str]], block: list[Row]) -> list[Column]:
    # Row by row, so that notes are numbered in reading order.
    lines = [[make(row) for make in makers.values()] for row in block]
    cells = [list(column) for column in zip(*lines, strict=True)]
    best = frozenset(i for i, row in enumerate(block) if row.rank)
    columns = [
        Column(
            name=name,
            cells=cells[i],
            kind="text" if name in _TEXT_COLUMNS else "number",
            best=best if name == _RANKED_COLUMN else frozenset(),
        )
        for i, name in enumerate(makers)
    ]
    return [column for column in columns if any(column.cells)]


def _published(row: Row) -> str:
    if row.published is None:
        return ""
    return f"{row.published}{UNVERIFIED if row.verified == 'memory' else ''}"


def _measured(row: Row) -> str:
    if row.verdict == "bound":
        return f"{row.bound:.{_decimals(row)}f}"
    return mean_std(row.measured, row.metric)


def _seeds(row: Row) -> str:
    if row.measured is None:
        return "0" if row.num_diverged else ""
    return str(row.measured.n)


def _signed(value: float | None, row: Row) -> str:
    return "" if value is None else f"{value:+.{_decimals(row)}f}"


def _protocol(row: Row, notes: Notes) -> str:
    if row.protocol is None or row.protocol == "same":
        return row.protocol or ""
    return f"differs {notes.mark(row.protocol)}"


def _decimals(row: Row) -> int:
    return num_decimals(row.measured.std if row.measured else None, row.metric)


def _figure(value: float | None) -> str:
    """Three significant digits, with thousands marked off."""
    if value is None:
        return ""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def _bytes(value: float | None) -> str:
    return "" if value is None else f"{value / 1e6:,.0f} MB"
