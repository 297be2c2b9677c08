"""Which choices the result depended on: a share of the variance for each key, by Optuna.

fANOVA (F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing hyperparameter
importance", ICML 2014) fits a forest to the trials; it needs scikit-learn and looks at keys that
every trial has. PED-ANOVA (S. Watanabe, A. Bansal and F. Hutter, IJCAI 2023) compares the best
tenth of the trials with all of them and needs nothing.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import statistics
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.core.config import Scalar
from bench.sweep.definition import Sweep
from bench.sweep.dimension import Choice, Dimension, same
from bench.sweep.space import distributions, space_of
from bench.sweep.study import TrialResult, of_model

if TYPE_CHECKING:
    import optuna


Method = Literal["fanova", "ped-anova"]
METHODS: dict[Method, str] = {"fanova": "fANOVA", "ped-anova": "PED-ANOVA"}
"""The methods as their papers write them."""
FEWEST_TRIALS = 4
"""Finished trials under which no share is given: it would be that of chance."""


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of the keys, largest first, which add up to 1."""

    method: Method
    num_trials: int
    shares: dict[str, float]


def usual_method() -> Method:
    """fANOVA where scikit-learn is installed."""
    return "fanova" if importlib.util.find_spec("sklearn") else "ped-anova"


def importance_of(
    sweep: Sweep,
    trials: Sequence[TrialResult],
    model: str,
    *,
    direction: Literal["min", "max"],
    method: Method | None = None,
) -> Importance | None:
    """Shares from the finished trials of a model, or None where there is too little to tell."""
    finished = [trial for trial in of_model(trials, model) if trial.status == "finished"]
    if len(finished) < FEWEST_TRIALS or len({trial.value for trial in finished}) < 2:
        return None
    from optuna.importance import (
        FanovaImportanceEvaluator,
        PedAnovaImportanceEvaluator,
        get_param_importances,
    )

    method = method or usual_method()
    evaluator = FanovaImportanceEvaluator(seed=1) if method == "fanova" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on few trials; how many there were stands in the table
        shares = get_param_importances(
            as_study(sweep, finished, model, direction),
            evaluator=evaluator or PedAnovaImportanceEvaluator(),
        )
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    rounded = {key: round(float(share), 4) for key, share in ordered}
    return Importance(method=method, num_trials=len(finished), shares=rounded) if rounded else None


def as_study(
    sweep: Sweep, trials: Sequence[TrialResult], model: str, direction: Literal["min", "max"]
) -> optuna.Study:
    """Finished trials as a study in memory, for Optuna's analyses."""
    import optuna

    possible = distributions(sweep.space, model)
    loud = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="minimize" if direction == "min" else "maximize")
    finally:
        optuna.logging.set_verbosity(loud)
    for trial in trials:
        own = {key: possible[key] for key in trial.chosen}
        study.add_trial(
            optuna.trial.create_trial(params=trial.chosen, distributions=own, value=trial.value)
        )
    return study


# One key at a time: how trials did over its values, whatever the other keys were.


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
