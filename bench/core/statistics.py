"""Statistics over seeds: mean and spread, verdicts on published values, tests of two means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

from bench.core.structs import Frozen

CONFIDENCE = 0.95
LEVEL = 0.05
"""Significance level: two means are tied if p is at least this."""


class Measured(Frozen, frozen=True, kw_only=True):
    """Mean and spread of runs that differ only in their seed."""

    mean: float
    std: float | None
    """Sample standard deviation, n - 1 in the denominator; None for one seed."""
    n: int

    def interval(self) -> tuple[float, float]:
        """Student's confidence interval of the mean at `CONFIDENCE`; a point for one seed."""
        if self.std is None:
            return self.mean, self.mean
        half = t_quantile(self.n - 1, CONFIDENCE) * self.std / math.sqrt(self.n)
        return self.mean - half, self.mean + half


def measure(values: Sequence[float]) -> Measured:
    """Mean and spread of at least one value."""
    mean = math.fsum(values) / len(values)
    std = statistics.stdev(values) if len(values) > 1 else None
    return Measured(mean=mean, std=std, n=len(values))


def printed_precision(value: float) -> float:
    """Half a unit of the last printed digit: 0.5 for 141, 0.05 for 141.2."""
    if isinstance(value, int):
        return 0.5
    decimals = len(repr(value).partition(".")[2])
    return 0.5 * 10.0**-decimals if "e" not in repr(value) else 0.0


def compare(
    published: float, measured: Measured, *, direction: Literal["min", "max"], protocol: str
) -> str:
    """Verdict on a published value that has been measured.

    reproduced      the 95 % interval of the mean (Student's t over seeds) reaches the published
                    value, which stands for all numbers that round to it
    better, worse   the whole interval lies on that side of it
    not comparable  the published protocol differs from the card's, whatever the numbers say

    A single seed has no interval: its value takes the interval's place. Verdicts on fewer than
    three seeds say so, since one has no spread and the interval of two is very wide.
    """
    if protocol != "same":
        return "not comparable"
    low, high = measured.interval()
    # Decimal fractions are not exact in binary: a tie at the rounding's edge must stay a tie.
    slack = printed_precision(published) + 1e-9 * abs(published)
    if low <= published + slack and high >= published - slack:
        word = "reproduced"
    else:
        below = high < published
        word = "better" if below == (direction == "min") else "worse"
    if measured.n < 3:
        word += " (1 seed)" if measured.n == 1 else f" ({measured.n} seeds)"
    return word


def t_quantile(degrees: float, confidence: float) -> float:
    """Student's t with P(|T| <= t) = `confidence` at `degrees` of freedom, whole or not."""
    from scipy.special import stdtrit  # here, so that importing a table stays cheap

    return float(stdtrit(degrees, (1 + confidence) / 2))


def two_sided_p(t: float, degrees: float) -> float:
    """P(|T| >= |t|) for Student's T with `degrees` of freedom, whole or not."""
    from scipy.special import stdtr

    return float(2 * stdtr(degrees, -abs(t)))


def welch(a: Measured, b: Measured) -> float | None:
    """Two-sided p of Welch's t test of two means; None if either has a single seed.

    Welch (1947), with Satterthwaite's degrees of freedom. Without any spread the values are exact:
    p is 1 if they are equal and 0 otherwise.
    """
    if a.std is None or b.std is None:
        return None
    square_a, square_b = a.std**2 / a.n, b.std**2 / b.n
    square = square_a + square_b
    if square == 0.0:
        return 1.0 if a.mean == b.mean else 0.0
    degrees = square**2 / (square_a**2 / (a.n - 1) + square_b**2 / (b.n - 1))
    return two_sided_p((a.mean - b.mean) / math.sqrt(square), degrees)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values after Holm's (1979) step-down correction, in the given order."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
