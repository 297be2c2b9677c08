"""Text around a table: titles of its sections, and the legend under it."""

from __future__ import annotations

from collections.abc import Collection

from bench.core.statistics import CONFIDENCE, LEVEL
from bench.table.build import Table, is_ranked, num_better_unranked
from bench.table.column import SIGNIFICANCE_MARKS, UNVERIFIED_MARK, Footnotes
from bench.table.rows import Row, score_name

_TESTS = {
    "seeds": "a test over seeds (Student's or Welch's t)",
    "units": "a paired bootstrap over test units",
}


def legend(table: Table, notes: Footnotes, *, highlight: str, shown: Collection[str]) -> list[str]:
    """Lines of the legend: explanations of the `shown` columns, records left out, footnotes.

    `shown` are keys of columns; `highlight` names how the best values stand out.
    """
    rows = table.rows
    published = {name for row in rows for name in row.published_beside}.intersection(shown)
    secondary = {score_name(name) for row in rows for name in row.beside}.intersection(shown)
    lines = []
    if any(row.measured for row in rows) and ("measured" in shown or secondary):
        lines.append("Measured: mean ± standard deviation over n seeds.")
    if "measured" in shown:
        lines += [*_ranking(table, highlight), *_significance(rows)]
    if any(row.difference is not None for row in rows) and "verdict" in shown:
        lines.append(
            f"Verdict: reproduced where the {CONFIDENCE:.0%} interval of the mean reaches the "
            "published value to its printed digits; better, which reproduces it as well, or worse "
            "where it lies wholly on that side. One seed has no interval: its value decides."
        )
    if published:
        lines.append("In brackets: what was printed of the score that the column measures.")
    if any(row.verified == "memory" for row in rows) and ("published" in shown or published):
        lines.append(f"{UNVERIFIED_MARK} quoted from memory, not verified.")
    if any(row.verified for row in rows) and "source" in shown:
        lines.append(
            "Source: key in results/references.bib, place, and where the number was read: in the "
            "paper, in a lecture, in a secondary source, or from memory."
        )
    lines += _costs(rows, shown)
    if table.num_left_out:
        records = plural(table.num_left_out, "record")
        lines.append(f"Left out: {records} of another version of the card `{table.task}`.")
    return lines + [f"[{i}] {text}" for i, text in enumerate(notes.texts, start=1)]


def section_title(table: Table, block: list[Row]) -> str:
    """Split and metric of the block, and the signature once it is known."""
    better = "lower" if table.direction == "min" else "higher"
    measured = next((row for row in block if row.signature), None)
    metric = measured.metric if measured else table.metric
    title = f"{table.split} {metric}, {better} is better"
    return f"{title}; signature `{measured.signature}`" if measured else title


def _ranking(table: Table, highlight: str) -> list[str]:
    lines = []
    if any(row.rank for row in table.rows):
        unranked = sum(num_better_unranked(b, direction=table.direction) for b in table.blocks)
        line = (
            f"{highlight}: the best mean of the rows with two seeds or more, and every mean tied "
            f"with it (Welch's t, p ≥ {LEVEL:g} after Holm's correction)."
        )
        if unranked:
            line += f" Better, but of one seed and not ranked: {plural(unranked, 'row')}."
        lines.append(line)
    measured = [[row for row in block if row.measured] for block in table.blocks]
    if any(len(rows) > 1 and sum(map(is_ranked, rows)) < 2 for rows in measured):
        lines.append(
            "Nothing is marked as the best where fewer than two rows have two seeds or more: one "
            "seed has no spread to hold a difference against."
        )
    return lines


def _significance(rows: list[Row]) -> list[str]:
    tested = [row.tested for row in rows if row.tested]
    if not tested:
        return []
    kinds = {test.over for test in tested}
    marks = "; ".join(
        f"{mark} by {_TESTS[kind]}" for kind, mark in SIGNIFICANCE_MARKS.items() if kind in kinds
    )
    return [
        f"Differs from {tested[0].against} (p < {LEVEL:g} after Holm's correction for "
        f"{plural(len(tested), 'row')}): {marks}."
    ]


def _costs(rows: list[Row], shown: Collection[str]) -> list[str]:
    lines = []
    if {"arithmetic", "counted", "flops"}.intersection(shown):
        line = "MFLOP, TFLOP: matrix products, forward and backward, by formula"
        lines.append(f"{line}{'; counted: in a few batches' if 'counted' in shown else ''}.")
    if "limit" in shown:
        lines.append(
            "Of limit: that arithmetic over the seconds of training, as a share of what large "
            "matrix products reach on the same machine."
        )
    if "energy" in shown:
        lines.append("kJ: of the machine while it trained, by its own counters.")
    if "target" in shown:
        lines.append("Seconds to a target: until a validation was as good, mean over seeds.")
    if any(row.bound is not None for row in rows):
        lines.append("Bound: the best possible value, from the distribution behind the text.")
    return lines


def plural(number: int, noun: str) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
