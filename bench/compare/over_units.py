"""Over test units: where other test data of the same kind would have put a value or a difference.

The bootstrap of Efron and Tibshirani (1993), percentile intervals. Every run is seen on the same
resampled units, so that the difference of two runs is paired (Koehn, 2004).

Shapes: U units, K statistics, M quantities, X any leading dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.compare.result import Interval, Significance
from bench.core.errors import BenchError
from bench.core.statistics import CONFIDENCE
from bench.runs.outputs import PairedUnits, Units
from bench.text.outputs import Floats

_LARGEST_BATCH = 1_000_000
"""Drawn numbers that are in memory at once."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Between two groups of runs on the same units."""

    interval: Interval
    p: float
    usual: Significance | None = None
    """The test that the field usually makes, where it has one."""


def bootstrap_units(
    groups: Sequence[Sequence[Units]],
    pairs: Sequence[tuple[int, int]],
    *,
    num_resamples: int,
    seed: int,
) -> tuple[list[Interval], list[Difference]]:
    """Intervals for the mean metric of each group of runs and for the difference of each pair.

    All groups see the same resamples. Raises BenchError for runs over different units.
    """
    num_units = _check_alike(groups)

    def statistic(index_XU: NDArray[np.intp], axis: int = -1) -> Floats:
        counts_XU = multiplicities(np.moveaxis(index_XU, axis, -1))
        means = [
            np.mean([run.metric(counts_XU @ run.sums) for run in runs], axis=0) for runs in groups
        ]
        return np.stack([*means, *(means[i] - means[j] for i, j in pairs)])

    found = stats.bootstrap(
        (np.arange(num_units),),
        statistic,
        n_resamples=num_resamples,
        batch=max(1, _LARGEST_BATCH // num_units),
        vectorized=True,
        axis=-1,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low_M, high_M = found.confidence_interval
    intervals = [
        Interval(low=float(low), high=float(high)) for low, high in zip(low_M, high_M, strict=True)
    ]
    drawn = found.bootstrap_distribution[len(groups) :]
    differences = [
        Difference(interval=interval, p=two_sided_p(drawn_X))
        for interval, drawn_X in zip(intervals[len(groups) :], drawn, strict=True)
    ]
    return intervals[: len(groups)], differences


def usual_test(first: Sequence[Units], second: Sequence[Units]) -> Significance | None:
    """The field's own paired test between two single runs; it knows no groups of seeds."""
    if len(first) != 1 or len(second) != 1:
        return None
    (a,), (b,) = first, second
    if not isinstance(a, PairedUnits) or not isinstance(b, type(a)):
        return None
    p, detail = a.paired_test(b)
    return Significance(name="sacreBLEU", over="units", p=p, detail=detail)


def two_sided_p(drawn_X: Floats) -> float:
    """Twice the share of resampled differences on the rarer side of zero.

    Below 1 - c exactly where the percentile interval of confidence c leaves zero out, but for the
    resamples added so that p is never 0 (Davison and Hinkley, 1997). The same whether differences
    are taken in nats or in perplexity, since both have one sign.
    """
    rarer = min(np.count_nonzero(drawn_X <= 0), np.count_nonzero(drawn_X >= 0))
    return float(min(1.0, 2 * (rarer + 1) / (len(drawn_X) + 1)))


def smallest_p(num_resamples: int) -> float:
    """The p of a difference that no resample turns round."""
    return 2 / (num_resamples + 1)


def multiplicities(index_XU: NDArray[np.intp]) -> Floats:
    """How often each of the U units was drawn, for each row of U drawn ones."""
    num_units = index_XU.shape[-1]
    rows = index_XU.reshape(-1, num_units).astype(np.intp, copy=False)
    places = rows + num_units * np.arange(len(rows))[:, None]
    counts = np.bincount(places.ravel(), minlength=rows.size)
    return counts.reshape(index_XU.shape).astype(np.float64)


def _check_alike(groups: Sequence[Sequence[Units]]) -> int:
    """The number of units that all runs share."""
    nouns = {run.noun for runs in groups for run in runs}
    if len(nouns) != 1:
        raise BenchError(
            f"the runs were not measured on the same units: {', '.join(sorted(nouns))}"
        )
    return len(groups[0][0].sums)
