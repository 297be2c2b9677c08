"""Bootstrap over test units: variation of a value or a difference over other test data.

The percentile bootstrap of Efron and Tibshirani (1993). Every run is evaluated on the same
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

_BATCH_SIZE = 1_000_000
"""Random numbers in memory at once."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference of two groups of runs on the same units."""

    interval: Interval
    p: float
    standard: Significance | None = None
    """The field's own paired test, if it has one."""


def bootstrap_units(
    groups: Sequence[Sequence[Units]],
    pairs: Sequence[tuple[int, int]],
    *,
    num_resamples: int,
    seed: int,
) -> tuple[list[Interval], list[Difference]]:
    """Intervals of the mean metric of each group of runs and of the difference of each pair.

    All groups share the resamples. Raises BenchError for runs over different units.
    """
    nouns = {run.noun for runs in groups for run in runs}
    if len(nouns) != 1:
        raise BenchError(
            f"the runs were not measured on the same units: {', '.join(sorted(nouns))}"
        )
    num_units = len(groups[0][0].sums)

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
        batch=max(1, _BATCH_SIZE // num_units),
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
    n = len(groups)
    differences = [
        Difference(
            interval=interval, p=bootstrap_p(drawn_X), standard=_standard_test(groups[i], groups[j])
        )
        for (i, j), interval, drawn_X in zip(
            pairs, intervals[n:], found.bootstrap_distribution[n:], strict=True
        )
    ]
    return intervals[:n], differences


def _standard_test(first: Sequence[Units], second: Sequence[Units]) -> Significance | None:
    """The field's own paired test of two single runs; None for groups of seeds."""
    if len(first) != 1 or len(second) != 1:
        return None
    a, b = first[0], second[0]
    if not isinstance(a, PairedUnits) or not isinstance(b, type(a)):
        return None
    p, detail = a.paired_test(b)
    return Significance(name="sacreBLEU", over="units", p=p, detail=detail)


def bootstrap_p(drawn_X: Floats) -> float:
    """Two-sided p: twice the share of resampled differences on the rarer side of zero.

    Below 1 - c exactly if the percentile interval of confidence c excludes zero, but for the one
    resample added so that p is never 0 (Davison and Hinkley, 1997). Differences in nats and in
    perplexity give the same p, since their signs agree.
    """
    rarer = min(np.count_nonzero(drawn_X <= 0), np.count_nonzero(drawn_X >= 0))
    return float(min(1.0, 2 * (rarer + 1) / (len(drawn_X) + 1)))


def min_bootstrap_p(num_resamples: int) -> float:
    """Smallest p: that of a difference whose sign no resample changes."""
    return 2 / (num_resamples + 1)


def multiplicities(index_XU: NDArray[np.intp]) -> Floats:
    """Count how often each of the U units occurs in each row of U drawn indices."""
    num_units = index_XU.shape[-1]
    rows = index_XU.reshape(-1, num_units).astype(np.intp, copy=False)
    offset = rows + num_units * np.arange(len(rows))[:, None]
    counts = np.bincount(offset.ravel(), minlength=rows.size)
    return counts.reshape(index_XU.shape).astype(np.float64)
