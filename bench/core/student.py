"""Student's t distribution without a numerical library, so that tables answer at once."""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300


def two_sided_p(t: float, degrees: float) -> float:
    """P(|T| >= |t|) for Student's T with `degrees` of freedom, whole or not.

    The regularised incomplete beta function I_x(degrees/2, 1/2) at x = degrees / (degrees + t^2)
    (DLMF 8.17).
    """
    square = t * t
    if math.isinf(square):
        return 0.0
    x, rest = degrees / (degrees + square), square / (degrees + square)
    return _incomplete_beta(degrees / 2, 0.5, x, rest)


@lru_cache(maxsize=256)
def t_quantile(degrees: float, confidence: float) -> float:
    """The t with P(|T| <= t) = `confidence` for Student's T with `degrees` of freedom."""
    low, high = 0.0, 1.0
    while two_sided_p(high, degrees) > 1 - confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if two_sided_p(middle, degrees) > 1 - confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """I_x(a, b), from the side on which its continued fraction converges fast; `rest` is 1 - x."""
    if x == 0.0 or rest == 0.0:
        return x
    powers = a * (math.log1p(-rest) if rest < 0.5 else math.log(x)) + b * math.log(rest)
    front = math.exp(powers + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))
    if x <= (a + 1) / (a + b + 2):
        return front / (a * _continued_fraction(a, b, x))
    return 1 - front / (b * _continued_fraction(b, a, rest))


def _continued_fraction(a: float, b: float, x: float) -> float:
    """1 + d_1 / (1 + d_2 / (1 + ...)) of DLMF 8.17.22, by the modified Lentz algorithm."""
    value, numerator, denominator = 1.0, 1.0, 0.0
    for step in range(1, 10_000):
        m = step // 2
        if step % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / ((1 + d * denominator) or _TINY)
        numerator = (1 + d / numerator) or _TINY
        value *= numerator * denominator
        if abs(numerator * denominator - 1) < 1e-15:
            break
    return value
