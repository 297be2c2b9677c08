"""Scores of groups of test units, with bootstrap intervals: tables and curves of them.

Shapes: U units, K statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.core.figures import new_figure, save_figure
from bench.core.statistics import CONFIDENCE

Floats: TypeAlias = NDArray[np.float64]
NUM_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Group:
    """Units of like kind, and the metric of them together."""

    label: str
    size: int
    value: float
    low: float
    high: float
    """Bounds of the bootstrap interval."""
    total: Floats
    """The added statistics [K]."""


Curve: TypeAlias = list[Group]


def alike(values_U: Floats, num_groups: int) -> NDArray[np.intp]:
    """The group of each value [U]: about as many in each, equal values together."""
    shares = np.arange(1, num_groups) / num_groups
    edges = np.unique(np.quantile(values_U, shares, method="lower"))
    return np.searchsorted(edges, values_U, side="left")


def powers(values_U: Floats) -> NDArray[np.intp]:
    """The group of each count [U]: 0, 1 to 9, 10 to 99, and so on."""
    return np.ceil(np.log10(values_U + 1) - 1e-9).astype(np.intp)


def curve(
    sums_UK: Floats,
    metric: Callable[[Floats], Floats],
    values_U: Floats,
    group_U: NDArray[np.intp],
    *,
    digits: int = 0,
) -> Curve:
    """The groups in rising order; their labels say which of the values are in them."""
    found = []
    for group in np.unique(group_U):
        own_U = group_U == group
        low, high = interval(sums_UK[own_U], metric)
        total = sums_UK[own_U].sum(0)
        found.append(
            Group(
                label=_label(values_U[own_U], digits),
                size=int(own_U.sum()),
                value=float(metric(total)),
                low=low,
                high=high,
                total=total,
            )
        )
    return found


def interval(
    sums_UK: Floats,
    metric: Callable[[Floats], Floats],
    *,
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[float, float]:
    """Percentile interval of the bootstrap over units, from one seed."""
    size = len(sums_UK)
    times = np.random.default_rng(1).multinomial(size, np.full(size, 1 / size), num_resamples)
    drawn = metric(times @ sums_UK)
    rest = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [rest, 1 - rest])
    return float(low), float(high)


def _label(values: Floats, digits: int) -> str:
    low, high = (f"{value:,.{digits}f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low}-{high}"


def draw_curves(runs: Mapping[str, Mapping[str, Curve]], path: Path, *, metric: str) -> None:
    """Draw the metric by group, one line a run with its interval, side by side for each grouping.

    Raises BenchError for runs over different units.
    """
    names = list(next(iter(runs.values())))
    for name in names:
        if len({tuple(group.label for group in found[name]) for found in runs.values()}) > 1:
            raise BenchError("the runs are over different units: draw them one by one")
    figure, [row] = new_figure(num_columns=len(names), width=4.2 * len(names), height=3.4)
    for axes, name in zip(row, names, strict=True):
        for number, (run, found) in enumerate(runs.items()):
            _draw(axes, run, found[name], color=f"C{number}")
        axes.set_xlabel(name, fontsize=8)
        axes.set_ylim(bottom=0)
    row[0].set_ylabel(metric)
    row[0].legend(frameon=False, fontsize=7)
    save_figure(figure, path)


def _draw(axes: Any, run: str, curve: Sequence[Group], *, color: str) -> None:
    places = range(len(curve))
    values = [group.value for group in curve]
    lows, highs = [group.low for group in curve], [group.high for group in curve]
    axes.plot(places, values, marker="o", markersize=3, color=color, label=run)
    axes.fill_between(places, lows, highs, color=color, alpha=0.15, linewidth=0)
    labels = [group.label for group in curve]
    axes.set_xticks(places, labels, fontsize=7, rotation=45, ha="right")
