"""Mean, spread and verdict of a few seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from bench.structs import Frozen

CONFIDENCE = 0.95


class Measured(Frozen, frozen=True, kw_only=True):
    """Runs that differ only in their seed."""

    mean: float
    std: float | None
    """Sample standard deviation, n - 1 in the denominator; none for one seed."""
    n: int

    def interval(self) -> tuple[float, float]:
        """Student's interval for the mean at `CONFIDENCE`; a point where there is one seed."""
        if self.std is None:
            return self.mean, self.mean
        half = t_quantile(self.n - 1) * self.std / math.sqrt(self.n)
        return self.mean - half, self.mean + half


def measure(values: Sequence[float]) -> Measured:
    """Mean and spread of at least one value."""
    mean = math.fsum(values) / len(values)
    std = statistics.stdev(values) if len(values) > 1 else None
    return Measured(mean=mean, std=std, n=len(values))


def printed_precision(value: float) -> float:
    """Half a unit of the last digit that was printed: 0.5 for 141, 0.05 for 141.2."""
    if isinstance(value, int):
        return 0.5
    decimals = len(repr(value).partition(".")[2])
    return 0.5 * 10.0**-decimals if "e" not in repr(value) else 0.0


def compare(
    published: float, measured: Measured, *, direction: Literal["min", "max"], protocol: str
) -> str:
    """The verdict on a published value that has been measured.

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


@lru_cache(maxsize=256)
def t_quantile(degrees: int, confidence: float = CONFIDENCE) -> float:
    """The t with P(|T| <= t) = `confidence` for Student's T with `degrees` of freedom."""
    low, high = 0.0, 1.0
    while _central_probability(high, degrees) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if _central_probability(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _central_probability(t: float, degrees: int) -> float:
    """P(|T| <= t), exactly (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    theta = math.atan(t / math.sqrt(degrees))
    cosine = math.cos(theta)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(2 + odd, degrees + 1, 2):
        total += term
        term *= cosine**2 * (k - 1) / k
    if not odd:
        return math.sin(theta) * total
    return 2 / math.pi * (theta + math.sin(theta) * total)
