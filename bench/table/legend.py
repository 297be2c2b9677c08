"""The lines over and under a table: which number it is, how to read it, what is not in it."""

from __future__ import annotations

from collections.abc import Collection

from bench.core.statistics import CONFIDENCE, LEVEL
from bench.table.build import Table, is_ranked, num_better_unranked
from bench.table.column import APART, UNVERIFIED, Notes
from bench.table.rows import Row


def legend(table: Table, notes: Notes, *, mark: str, shown: Collection[str]) -> list[str]:
    """The lines under a table: how to read the columns that are `shown`, and what is not in it.

    `shown` are names of columns; `mark` says how the best values stand out.
    """
    rows = table.rows
    printed = {name for row in rows for name in row.published_beside}.intersection(shown)
    beside = {name.partition("|")[0] for row in rows for name in row.beside}.intersection(shown)
    lines = []
    if any(row.measured for row in rows) and ("measured" in shown or beside):
        lines.append("Measured: mean ± standard deviation over n seeds.")
    if "measured" in shown:
        lines += [*_ranking(table, mark), *_tests(rows)]
    if any(row.difference is not None for row in rows) and "verdict" in shown:
        lines.append(
            f"Verdict: reproduced where the {CONFIDENCE:.0%} interval of the mean reaches the "
            "published value to its printed digits; better, which reproduces it as well, or worse "
            "where it lies wholly on that side. One seed has no interval: its value decides."
        )
    if printed:
        lines.append("In brackets: what was printed of the score that the column measures.")
    if any(row.verified == "memory" for row in rows) and ("published" in shown or printed):
        lines.append(f"{UNVERIFIED} quoted from memory, not verified.")
    if any(row.verified for row in rows) and "source" in shown:
        lines.append(
            "Source: key in results/references.bib, place, and where the number was read: in the "
            "paper, in a lecture, in a secondary source, or from memory."
        )
    lines += [*_costs(rows, shown), *_left_out(table)]
    return lines + [f"[{i}] {text}" for i, text in enumerate(notes.texts, start=1)]


def _tests(rows: list[Row]) -> list[str]:
    """What the marks of significance say."""
    tested = [row.tested for row in rows if row.tested]
    if not tested:
        return []
    over = {
        "seeds": "a test over seeds (Student's or Welch's t)",
        "units": "a paired bootstrap over test units",
    }
    used = [kind for kind in APART if any(test.over == kind for test in tested)]
    said = "; ".join(f"{APART[kind]} by {over[kind]}" for kind in used)
    return [
        f"Differs from {tested[0].against} (p < {LEVEL:g} after Holm's correction for "
        f"{_count(len(tested), 'row')}): {said}."
    ]


def _costs(rows: list[Row], shown: Collection[str]) -> list[str]:
    """What the figures of cost are, where they do not say it themselves."""
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


def _left_out(table: Table) -> list[str]:
    lines = []
    if table.num_hidden:
        configurations = _count(table.num_hidden, "configuration")
        lines.append(f"Not shown: {configurations} that differ from a row in settings only.")
    if table.num_left_out:
        records = _count(table.num_left_out, "record")
        lines.append(f"Left out: {records} of another version of the card `{table.task}`.")
    return lines


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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
