"""One key at a time: how trials did over its values, whatever the other keys were."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from bench.core.config import Scalar
from bench.sweep.definition import Sweep
from bench.sweep.dimension import Choice, Dimension, same
from bench.sweep.space import space_of
from bench.sweep.trial import TrialResult, of_model

NUM_PARTS = 4
"""Parts of equal width, by the scale of its choice, into which a range is cut."""


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The finished trials in which a key had one value, or one in a part of its range."""

    model: str
    key: str
    values: str
    num_trials: int
    best: float
    median: float


def slices(
    sweep: Sweep, trials: Sequence[TrialResult], model: str, *, direction: Literal["min", "max"]
) -> list[Slice]:
    """Slices of every key of a model, in the space's order; parts without a trial are left out."""
    finished = [trial for trial in of_model(trials, model) if trial.status == "finished"]
    better = min if direction == "min" else max
    found = []
    for key, dimension in space_of(sweep.space, model).items():
        for name, belongs in parts(dimension):
            inside = [
                trial.value
                for trial in finished
                if key in trial.chosen and belongs(trial.chosen[key]) and trial.value is not None
            ]
            if inside:
                found.append(
                    Slice(
                        model=model,
                        key=key,
                        values=name,
                        num_trials=len(inside),
                        best=better(inside),
                        median=statistics.median(inside),
                    )
                )
    return found


def parts(dimension: Dimension) -> list[tuple[str, Callable[[Scalar], bool]]]:
    """Each part's name and what belongs to it; every value of the dimension belongs to one."""
    values = dimension.values
    if isinstance(dimension, Choice) or (values is not None and len(values) <= NUM_PARTS):
        return [(written(value), _one_of([value])) for value in values or []]
    assert not isinstance(dimension, Choice)
    if values is not None and not dimension.log:
        cuts = [round(len(values) * part / NUM_PARTS) for part in range(NUM_PARTS + 1)]
        groups = [values[start:end] for start, end in itertools.pairwise(cuts)]
        return [(_range(group[0], group[-1]), _one_of(group)) for group in groups]
    low, high = float(dimension.low), float(dimension.high)
    edges = [_between(low, high, i / NUM_PARTS, log=dimension.log) for i in range(NUM_PARTS + 1)]
    return [(_range(edges[i], edges[i + 1]), _inside(edges, i)) for i in range(NUM_PARTS)]


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    if log:
        return math.exp((1 - share) * math.log(low) + share * math.log(high))
    return (1 - share) * low + share * high


def _one_of(values: list[Scalar]) -> Callable[[Scalar], bool]:
    return lambda value: any(same(value, other) for other in values)


def _inside(edges: list[float], part: int) -> Callable[[Scalar], bool]:
    def inside(value: Scalar) -> bool:
        assert isinstance(value, int | float)
        below = part == NUM_PARTS - 1 or value < edges[part + 1]
        return (part == 0 or value >= edges[part]) and below

    return inside


def written(value: Scalar) -> str:
    """A value as it stands in tables and at axes."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _range(first: Scalar, last: Scalar) -> str:
    if first == last:
        return written(first)
    return f"{_short(first)} to {_short(last)}"


def _short(value: Scalar) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
