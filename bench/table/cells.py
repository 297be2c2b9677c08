"""What stands in the cells of a table for people: rounding, marks, notes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.table.build import Table
from bench.table.ranking import is_ranked, num_better_unranked
from bench.table.rows import Row
from bench.table.statistics import CONFIDENCE, LEVEL, Measured

UNVERIFIED = "†"
# Decimals where no spread says how many are meaningful; two for any other metric.
_USUAL_DECIMALS = {"perplexity": 1, "bits per character": 3}
_TEXT_COLUMNS = frozenset(("Model", "Verdict", "Protocol", "Source"))
_RANKED_COLUMN = "Measured"
# What is measured beside the metric: how it is written, and what a note on it adds.
_BESIDE = {"bleu": ("BLEU", ""), "chrf2": ("chrF2", ""), "ter": ("TER", ", lower is better")}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its cells as plain text, one for each row of a block."""

    name: str
    cells: list[str]
    kind: Literal["text", "number"]
    best: frozenset[int] = frozenset()
    """The cells that stand out."""

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
        **_beside(block, notes),
        "Verdict": lambda row: f"{row.verdict} {notes.mark(row.why)}" if row.why else row.verdict,
        "Protocol": lambda row: _protocol(row, notes),
        "Source": source,
    }
    return _columns(makers, block)


def _beside(block: list[Row], notes: Notes) -> dict[str, Callable[[Row], str]]:
    """A column for each signature that was measured beside the metric; a note says which it is."""

    def maker(signature: str) -> Callable[[Row], str]:
        return lambda row: _mean_std(row.beside.get(signature), signature.partition("|")[0])

    signatures = dict.fromkeys(name for row in block for name in row.beside)
    return {_beside_name(name, notes): maker(name) for name in sorted(signatures)}


def _beside_name(signature: str, notes: Notes) -> str:
    name = signature.partition("|")[0]
    shown, better = _BESIDE.get(name, (name, ""))
    return f"{shown} {notes.mark(f'{shown}: signature `{signature}`{better}.')}"


def cost_columns(block: list[Row]) -> list[Column]:
    """What the measured rows took, means over seeds."""
    makers: dict[str, Callable[[Row], str]] = {
        "Model": lambda row: row.label,
        "Parameters": lambda row: _figure(row.num_parameters),
        "Seconds": lambda row: _figure(row.seconds),
        "Tokens/s": lambda row: _figure(row.tokens_per_sec),
        "Memory": lambda row: _bytes(row.peak_memory_bytes),
    }
    return _columns(makers, [row for row in block if row.measured])


def legend(table: Table, notes: Notes, *, mark: str) -> list[str]:
    """The lines under a table: how to read it, and what is not in it.

    `mark` says how the best values stand out.
    """
    rows = table.rows
    lines = []
    if any(row.measured for row in rows):
        lines.append("Measured: mean ± standard deviation over n seeds.")
        lines += _ranking(table, mark)
    if any(row.difference is not None for row in rows):
        lines.append(
            f"Verdict: reproduced where the {CONFIDENCE:.0%} interval of the mean reaches the "
            "published value to its printed digits; better, which reproduces it as well, or worse "
            "where it lies wholly on that side. One seed has no interval: its value decides."
        )
    if any(row.verified == "memory" for row in rows):
        lines.append(f"{UNVERIFIED} quoted from memory, not verified.")
    if any(row.verified for row in rows):
        lines.append(
            "Source: key in results/references.bib, place, and where the number was read: in the "
            "paper, in a lecture, in a secondary source, or from memory."
        )
    if any(row.bound is not None for row in rows):
        lines.append("Bound: the best possible value, from the distribution behind the text.")
    if table.num_hidden:
        configurations = _count(table.num_hidden, "configuration")
        lines.append(f"Not shown: {configurations} that differ from a row in settings only.")
    if table.num_left_out:
        records = _count(table.num_left_out, "record")
        lines.append(f"Left out: {records} of another version of the card `{table.task}`.")
    return lines + [f"[{i}] {text}" for i, text in enumerate(notes.texts, start=1)]


def _ranking(table: Table, mark: str) -> list[str]:
    """What stands out and why; or why nothing does."""
    lines = []
    if any(row.rank for row in table.rows):
        unranked = sum(num_better_unranked(b, direction=table.direction) for b in table.blocks)
        line = (
            f"{mark}: the best mean of the rows with two seeds or more, and every mean tied with "
            f"it (Welch's t, p ≥ {LEVEL:g} after Holm's correction)."
        )
        if unranked:
            line += f" Better, but of one seed and not ranked: {_count(unranked, 'row')}."
        lines.append(line)
    measured = [[row for row in block if row.measured] for block in table.blocks]
    if any(len(rows) > 1 and sum(map(is_ranked, rows)) < 2 for rows in measured):
        lines.append(
            "Nothing is marked as the best where fewer than two rows have two seeds or more: one "
            "seed has no spread to hold a difference against."
        )
    return lines


def signature_line(table: Table, block: list[Row]) -> str:
    """Which number the block holds, with the signature that defines it once there is one."""
    better = "lower" if table.direction == "min" else "higher"
    signature = next((row.signature for row in block if row.signature), None)
    metric = next((row.metric for row in block if row.signature), table.metric)
    line = f"{table.split} {metric}, {better} is better"
    return f"{line}; signature `{signature}`" if signature else line


def source(row: Row) -> str:
    """Citation key, place, and where the number was read."""
    if row.where is None:
        return ""
    return f"{row.cite or 'untraced'}, {row.where} ({row.verified})"


def num_decimals(spread: float | None, metric: str) -> int:
    """Decimals that show two significant digits of `spread`; the metric's usual without one."""
    if not spread:
        return _USUAL_DECIMALS.get(metric.replace("-", " ").replace("_", " "), 2)
    exponent = int(f"{spread:.1e}".partition("e")[2])
    return max(0, 1 - exponent)


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
    return _mean_std(row.measured, row.metric)


def _mean_std(measured: Measured | None, metric: str) -> str:
    if measured is None:
        return ""
    decimals = num_decimals(measured.std, metric)
    mean = f"{measured.mean:.{decimals}f}"
    return mean if measured.std is None else f"{mean} ± {measured.std:.{decimals}f}"


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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _bytes(value: float | None) -> str:
    return "" if value is None else f"{value / 1e6:,.0f} MB"
