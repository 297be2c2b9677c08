"""Minimisation of a convex function plus an L1 penalty (OWL-QN, Andrew & Gao 2007).

Limited-memory quasi-Newton steps on the pseudo-gradient, never across an orthant: a parameter
that would change its sign stops at zero. Without a penalty it is L-BFGS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from bench.text.baselines.baseline import Floats

_MEMORY = 6
_SMALLEST_STEP = 1e-6
_SUFFICIENT = 1e-4

Pair = tuple[Floats, Floats, float]


def minimise(
    smooth: Callable[[Floats], tuple[float, Floats]],
    start: Floats,
    *,
    l1: Floats,
    curvature: Floats,
) -> Iterator[tuple[float, Floats]]:
    """Yield (objective, point) after each step on smooth(x) + sum_i l1_i |x_i|.

    `smooth` gives value and gradient; `curvature`, all positive, estimates its second derivatives
    and scales the steps. Ends where no step lowers the objective.
    """
    x = start
    value, gradient = smooth(x)
    value += float(l1 @ np.abs(x))
    pairs: deque[Pair] = deque(maxlen=_MEMORY)
    while True:
        slope = pseudo_gradient(x, gradient, l1)
        direction = _direction(slope, pairs, curvature)
        direction[(direction * slope >= 0) & (l1 > 0)] = 0.0
        orthant = np.where(x != 0, np.sign(x), -np.sign(slope))
        step = 1.0
        while True:
            new = x + step * direction
            new[(new * orthant < 0) & (l1 > 0)] = 0.0
            new_value, new_gradient = smooth(new)
            new_value += float(l1 @ np.abs(new))
            if new_value <= value + _SUFFICIENT * float(slope @ (new - x)):
                break
            step /= 2
            if step < _SMALLEST_STEP:
                return
        moved, turned = new - x, new_gradient - gradient
        if moved @ turned > 0:
            pairs.append((moved, turned, 1.0 / float(moved @ turned)))
        if new_value >= value:
            return
        x, value, gradient = new, new_value, new_gradient
        yield value, x


def pseudo_gradient(x: Floats, gradient: Floats, l1: Floats) -> Floats:
    """The one-sided derivative of steepest descent, zero where none descends (equation 4)."""
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0.0)
    return np.where(x == 0, at_zero, gradient + l1 * np.sign(x))


def _direction(slope: Floats, pairs: deque[Pair], curvature: Floats) -> Floats:
    """-H slope by the two-loop recursion (Nocedal 1980), H_0 a multiple of 1 / curvature."""
    q = -slope
    shares = []
    for moved, turned, inverse in reversed(pairs):
        share = inverse * float(moved @ q)
        shares.append(share)
        q = q - share * turned
    if pairs:
        moved, turned, _ = pairs[-1]
        q = q * (float(moved @ turned) / float((turned / curvature) @ turned))
    q = q / curvature
    for (moved, turned, inverse), share in zip(pairs, reversed(shares), strict=True):
        q = q + moved * (share - inverse * float(turned @ q))
    return q
