"""Pairs of subjects: tests, correction for multiple comparisons, outcome."""

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
    """Number of resamples and their seed."""

    num_resamples: int = 10_000
    seed: int = 1


def compare_pairs(
    subjects: Sequence[Subject],
    over_units: dict[tuple[int, int], Difference],
    *,
    split: str,
    direction: Literal["min", "max"],
    resampling: Resampling,
) -> list[Pair]:
    """Test every pair of subjects; `over_units` has the paired bootstrap of those with units.

    The first test decides: the one over seeds, since a claim about a configuration is one about its
    seeds, or the paired bootstrap if there are too few.
    """
    pairs = [
        _pair(subjects[i], subjects[j], over_units.get((i, j)), split=split, resampling=resampling)
        for i, j in combinations(range(len(subjects)), 2)
    ]
    tested = [i for i, pair in enumerate(pairs) if pair.tests]
    for i, p in zip(tested, holm([pairs[k].tests[0].p for k in tested]), strict=True):
        outcome = _outcome(pairs[i].difference, p, direction)
        pairs[i] = replace(pairs[i], p=p, outcome=outcome)
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
        tests[1:1] = [bootstrap, *filter(None, [over_units.standard])]
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
    """Tests over seeds that the numbers of seeds allow, the deciding one first."""
    if a.is_seedless != b.is_seedless:
        # The sign is that of the first minus the second, whichever of them has seeds.
        first = (x, y[0]) if b.is_seedless else ([-value for value in y], -x[0])
        found = [one_sample_test(*first)]
    elif welch := welch_test(x, y):
        settings = {"num_resamples": resampling.num_resamples, "seed": resampling.seed}
        found = [welch, permutation_test(x, y, **settings)]
    else:
        found = []
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
