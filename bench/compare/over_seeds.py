"""Tests over seeds: significance, effect size and power of a difference of two configurations.

All values are in the unit of the metric.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from bench.compare.result import Interval, Significance
from bench.core.statistics import CONFIDENCE, LEVEL

Floats = npt.NDArray[np.float64]
NUM_NODES = 96
"""Nodes of the quadrature over each variance."""
POWER = 0.8
"""Probability with which a resolvable difference is found."""


def welch_test(a: Sequence[float], b: Sequence[float]) -> Significance | None:
    """Welch's (1947) t test of two means; None without two values a side and some spread."""
    if min(len(a), len(b)) < 2 or np.ptp(a) == np.ptp(b) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one side may lack spread
        found = stats.ttest_ind(a, b, equal_var=False)
    return _t_test("Welch's t", found)


def one_sample_test(values: Sequence[float], constant: float) -> Significance | None:
    """Student's t test of the mean of `values` against a constant."""
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    return _t_test("one-sample t", stats.ttest_1samp(np.subtract(values, constant), 0.0))


def permutation_test(
    a: Sequence[float], b: Sequence[float], *, num_resamples: int, seed: int
) -> Significance | None:
    """Permutation test of the difference in means, exact if `num_resamples` suffice for it."""
    if min(len(a), len(b)) < 2:
        return None
    found = stats.permutation_test(
        (a, b),
        lambda a_XN, b_XN, axis: np.mean(a_XN, axis=axis) - np.mean(b_XN, axis=axis),
        permutation_type="independent",
        vectorized=True,
        n_resamples=num_resamples,
        rng=np.random.default_rng(seed),
    )
    num_arrangements = math.comb(len(a) + len(b), len(a))
    exact = num_arrangements <= num_resamples
    detail = f"all {num_arrangements:,}" if exact else f"{num_resamples:,} random"
    return Significance(
        name="permutation",
        over="seeds",
        p=float(found.pvalue),
        detail=f"{len(a)} + {len(b)} seeds, {detail} arrangements",
    )


def min_permutation_p(num_a: int, num_b: int) -> float:
    """Smallest two-sided p that a permutation test can reach."""
    return min(1.0, 2 / math.comb(num_a + num_b, num_a))


def pooled_std(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Pooled standard deviation of two groups; None without two values in either."""
    degrees = len(a) + len(b) - 2
    if min(len(a), len(b)) < 1 or degrees < 1:
        return None
    squares = sum(
        (len(values) - 1) * np.var(values, ddof=1) for values in (a, b) if len(values) > 1
    )
    return math.sqrt(squares / degrees)


def effect_size(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Hedges' (1981) g with the exact correction for small n; None without spread."""
    std = pooled_std(a, b)
    if not std or min(len(a), len(b)) < 2:
        return None
    half = (len(a) + len(b) - 2) / 2
    # J = Gamma(half) / (sqrt(half) Gamma(half - 1/2))
    correction = math.exp(special.gammaln(half) - special.gammaln(half - 0.5)) / math.sqrt(half)
    return float(correction * (np.mean(a) - np.mean(b)) / std)


def resolvable_difference(
    std: float, num_a: int, num_b: int | None, *, level: float = LEVEL, power: float = POWER
) -> float:
    """Smallest true difference that the two-sided t test finds with probability `power`.

    `std` is that of one seed, equal in both groups. Two groups are tested by Welch's t, which
    decides comparisons; `num_b` is None for Student's t against a constant. The level is that of a
    single test, before Holm's correction.
    """
    found = _student_power if num_b is None else _welch_power

    def excess(difference: float) -> float:
        return found(difference, num_a, num_b or 0, level) - power

    highest = 4.0
    while excess(highest) < 0:
        highest *= 2
    return float(optimize.brentq(excess, 0.0, highest)) * std


def _student_power(difference: float, num: int, _: int, level: float) -> float:
    """Power of the one-sample t test at a difference in standard deviations (Cohen, 1988)."""
    critical = stats.t.isf(level / 2, num - 1)
    noncentrality = difference * math.sqrt(num)
    upper = stats.nct.sf(critical, num - 1, noncentrality)
    # P(T <= -t), mirrored: scipy's own lower tail is not a number for some arguments.
    return float(upper + stats.nct.sf(critical, num - 1, -noncentrality))


def _welch_power(difference: float, num_a: int, num_b: int, level: float) -> float:
    """Power of Welch's t test at a difference in standard deviations, which both groups share.

    Given the sample variances, the difference of the means is normal and the critical value known
    (Welch, 1947); the variances are integrated out by Gauss-Legendre quadrature over their
    quantiles.
    """
    squares_a, squares_b, weight = _variances(num_a, num_b)
    square = squares_a + squares_b
    degrees = square**2 / (squares_a**2 / (num_a - 1) + squares_b**2 / (num_b - 1))
    critical = special.stdtrit(degrees, 1 - level / 2) * np.sqrt(square)
    scale = math.sqrt(1 / num_a + 1 / num_b)
    found = special.ndtr((difference - critical) / scale) + special.ndtr(
        (-difference - critical) / scale
    )
    return float((found * weight).sum())


@functools.cache
def _variances(num_a: int, num_b: int) -> tuple[Floats, Floats, Floats]:
    """Squared standard errors of two means of unit variance, and their weights [K, K]."""
    node_K, weight_K = np.polynomial.legendre.leggauss(NUM_NODES)
    # Quantiles are bunched at both ends, where those of few degrees of freedom bend most.
    angle_K = np.pi / 4 * (node_K + 1)
    quantile_K, weight_K = np.sin(angle_K) ** 2, weight_K * np.pi / 4 * np.sin(2 * angle_K)
    errors = [stats.chi2.ppf(quantile_K, num - 1) / (num - 1) / num for num in (num_a, num_b)]
    a_KK, b_KK = np.meshgrid(*errors, indexing="ij")
    return a_KK, b_KK, np.outer(weight_K, weight_K)


def _t_test(name: Literal["Welch's t", "one-sample t"], found: Any) -> Significance:
    low, high = found.confidence_interval(CONFIDENCE)
    t, degrees, p = (float(getattr(found, key)) for key in ("statistic", "df", "pvalue"))
    return Significance(
        name=name,
        over="seeds",
        interval=Interval(low=float(low), high=float(high)),
        p=p,
        detail=f"t = {t:.2f}, {degrees:.3g} degrees of freedom",
    )
