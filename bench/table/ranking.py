"""Which measured rows are the best of their block, ties with them included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from bench.core.statistics import LEVEL, Measured, holm, welch
from bench.table.rows import Row

LEAST_SEEDS = 2
"""Fewer have no spread, and without one nobody can say what a difference is worth."""


def rank(block: Sequence[Row], *, direction: Literal["min", "max"]) -> list[Row]:
    """The rows of one signature with the best measured mean marked, and all that tie with it.

    Tied: Welch's t between the means has p >= `LEVEL` after Holm's correction for as many
    comparisons as there are other configurations. Rows of fewer than `LEAST_SEEDS` seeds take no
    part; where fewer than two rows remain, nothing is marked.
    """
    ranked = {tuple(row.records): row.measured for row in block if is_ranked(row) and row.measured}
    if len(ranked) < 2:
        return list(block)
    best = min(ranked, key=lambda key: ranked[key].mean * (1 if direction == "min" else -1))
    others = [key for key in ranked if key != best]
    p_values = holm([_p(ranked[best], ranked[key]) for key in others])
    tied = {key for key, p in zip(others, p_values, strict=True) if p >= LEVEL}

    def marked(row: Row) -> Row:
        key = tuple(row.records)
        if key == best:
            return replace(row, rank="best")
        return replace(row, rank="tied") if key in tied else row

    return [marked(row) for row in block]


def is_ranked(row: Row) -> bool:
    """Whether the row has the seeds to be ranked by."""
    return row.measured is not None and row.measured.n >= LEAST_SEEDS


def num_better_unranked(block: Sequence[Row], *, direction: Literal["min", "max"]) -> int:
    """How many rows of too few seeds have a better value than the best that is marked."""
    best = next((row.measured.mean for row in block if row.rank == "best" and row.measured), None)
    if best is None:
        return 0
    values = [row.measured.mean for row in block if row.measured and not is_ranked(row)]
    return sum(value < best if direction == "min" else value > best for value in values)


def _p(a: Measured, b: Measured) -> float:
    p = welch(a, b)
    assert p is not None
    return p
