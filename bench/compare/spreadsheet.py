"""Comparisons as one flat table for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from bench.compare.result import Comparison, Interval

COLUMNS = (
    "first", "second", "test", "over", "estimate", "std", "n", "n_second", "low", "high", "p",
    "p_holm", "effect_size", "resolvable", "outcome", "detail",
)  # fmt: skip


def as_csv(comparison: Comparison) -> str:
    """A line for each interval of a mean, then one for each test of a difference."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*_means(comparison), *_differences(comparison)])
    return file.getvalue()


def _means(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for m in comparison.measurements:
        mean = {"first": m.name, "test": "mean", "estimate": m.measured.mean}
        mean |= {"std": m.measured.std, "n": m.measured.n}
        yield {**mean, "over": "seeds", **_ends(m.over_seeds)}
        if m.over_units is not None:
            yield {**mean, "over": "units", **_ends(m.over_units)}


def _differences(comparison: Comparison) -> Iterator[dict[str, Any]]:
    numbers = {m.name: m.measured.n for m in comparison.measurements}
    for pair in comparison.pairs:
        of_pair = {
            "first": pair.first,
            "second": pair.second,
            "n": numbers[pair.first],
            "n_second": numbers[pair.second],
            "estimate": pair.difference,
            "p_holm": pair.p,
            "effect_size": pair.effect_size,
            "resolvable": pair.resolvable,
            "outcome": pair.outcome,
        }
        if not pair.tests:
            yield {**of_pair, "test": "none"}
        for test in pair.tests:
            of_test = {"test": test.name, "over": test.over, "p": test.p, "detail": test.detail}
            yield {**of_pair, **of_test, **_ends(test.interval)}


def _ends(interval: Interval | None) -> dict[str, float]:
    return {} if interval is None else {"low": interval.low, "high": interval.high}
