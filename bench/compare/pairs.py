"""Every pair of the compared set: tests, correction for their number, outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from msgspec.structs import replace

from bench.compare.over_seeds import (
    effect_size,
    one_sample_test,
    permutation_test,
    pooled_std,
    resolvable_difference,
    welch_test,
)
from bench.compare.over_units import Difference
from bench.compare.result import Outcome, Pair, Significance
from bench.compare.subjects import Subject
from bench.core.statistics import LEVEL, holm, measure


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How many resamples are drawn, and from which seed."""

    num_resamples: int = 10_000
    seed: int = 1


def all_pairs(
    subjects: Sequence[Subject],
    over_units: dict[tuple[int, int], Difference],
    *,
    split: str,
    direction: Literal["min", "max"],
    resampling: Resampling,
) -> list[Pair]:
    """The pairs with their tests; `over_units` has the paired bootstrap of those that have units.

    The first test decides: that over seeds, since a claim about a configuration is one about its
    seeds, and the paired bootstrap where there are too few.
    """
    places = list(combinations(range(len(subjects)), 2))
    pairs = [
        _pair(subjects[i], subjects[j], over_units.get((i, j)), split=split, resampling=resampling)
        for i, j in places
    ]
    tested = [place for place, pair in enumerate(pairs) if pair.tests]
    for place, p in zip(tested, holm([pairs[k].tests[0].p for k in tested]), strict=True):
        outcome = _outcome(pairs[place].difference, p, direction)
        pairs[place] = replace(pairs[place], p=p, outcome=outcome)
    return pairs


def _pair(
    a: Subject,
    b: Subject,
    over_units: Difference | None,
    *,
    split: str,
    resampling: Resampling,
) -> Pair:
    x, y = a.values(split), b.values(split)
    tests = _over_seeds(a, b, x, y, resampling)
    if over_units is not None:
        bootstrap = Significance(
            name="paired bootstrap",
            over="units",
            interval=over_units.interval,
            p=over_units.p,
            detail=f"{resampling.num_resamples:,} resamples",
        )
        usual = [over_units.usual] if over_units.usual else []
        tests[1:1] = [bootstrap, *usual]
    return Pair(
        first=a.name,
        second=b.name,
        difference=measure(x).mean - measure(y).mean,
        tests=tests,
        effect_size=effect_size(x, y),
        resolvable=_resolvable(a, b, x, y),
    )


def _over_seeds(
    a: Subject, b: Subject, x: list[float], y: list[float], resampling: Resampling
) -> list[Significance]:
    """The tests over seeds that these numbers of seeds allow, the deciding one first."""
    if b.is_seedless and not a.is_seedless:
        found = [one_sample_test(x, y[0])]
    elif a.is_seedless and not b.is_seedless:
        mirrored = one_sample_test([-value for value in y], -x[0])
        found = [mirrored]
    else:
        drawn = permutation_test(x, y, num_resamples=resampling.num_resamples, seed=resampling.seed)
        welch = welch_test(x, y)
        found = [welch, drawn] if welch else []
    return [test for test in found if test is not None]


def _resolvable(a: Subject, b: Subject, x: list[float], y: list[float]) -> float | None:
    if a.is_seedless != b.is_seedless:
        x, y = (y, x) if a.is_seedless else (x, y)
        std = measure(x).std
        return resolvable_difference(std, len(x), None) if std else None
    std = pooled_std(x, y)
    return resolvable_difference(std, len(x), len(y)) if std and min(len(x), len(y)) > 1 else None


def _outcome(difference: float, p: float, direction: Literal["min", "max"]) -> Outcome:
    if p >= LEVEL:
        return "tie"
    return "better" if (difference < 0) == (direction == "min") else "worse"
