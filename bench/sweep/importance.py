"""Importance of each setting for the validation metric, by Optuna, and slices along each setting.

fANOVA (F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing hyperparameter
importance", ICML 2014) fits a forest to the trials; it needs scikit-learn and covers keys that
every trial has. PED-ANOVA (S. Watanabe, A. Bansal and F. Hutter, IJCAI 2023) compares the best
tenth of the trials with all of them and has no dependency.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import statistics
import warnings
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.core.config import Scalar
from bench.sweep.definition import Sweep
from bench.sweep.dimension import Choice, Dimension, same
from bench.sweep.space import model_space, suggest
from bench.sweep.trial import TrialResult, trials_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

Method = Literal["fanova", "ped-anova"]
METHODS: dict[Method, str] = {"fanova": "fANOVA", "ped-anova": "PED-ANOVA"}
"""Spelling in the papers."""
MIN_TRIALS = 4
"""Smallest number of finished trials for which importance is computed."""
NUM_BINS = 4
"""Number of bins of equal width, on the dimension's own scale, into which a range is cut."""


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """Share of the variance for each key, largest first; the shares add up to 1."""

    method: Method
    num_trials: int
    shares: dict[str, float]


def importance_of(
    sweep: Sweep,
    trials: Sequence[TrialResult],
    model: str,
    *,
    direction: Literal["min", "max"],
    method: Method | None = None,
) -> Importance | None:
    """Importance by the finished trials of a model; None if they are too few or all equal.

    Unless given, the method is fANOVA if scikit-learn is installed, else PED-ANOVA.
    """
    finished = [trial for trial in trials_of(trials, model) if trial.status == "finished"]
    if len(finished) < MIN_TRIALS or len({trial.value for trial in finished}) < 2:
        return None
    from optuna.importance import (
        FanovaImportanceEvaluator,
        PedAnovaImportanceEvaluator,
        get_param_importances,
    )

    from bench.sweep.sampling import copy_study

    method = method or ("fanova" if importlib.util.find_spec("sklearn") else "ped-anova")
    evaluator = FanovaImportanceEvaluator(seed=1) if method == "fanova" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on few trials, whose number is in the table
        shares = get_param_importances(
            copy_study([_frozen(trial, sweep) for trial in finished], direction),
            evaluator=evaluator or PedAnovaImportanceEvaluator(),
        )
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    rounded = {key: round(float(share), 4) for key, share in ordered}
    return Importance(method=method, num_trials=len(finished), shares=rounded) if rounded else None


def _frozen(trial: TrialResult, sweep: Sweep) -> FrozenTrial:
    from optuna.trial import FixedTrial, create_trial

    fixed = FixedTrial(trial.chosen)
    suggest(fixed, sweep.space, trial.model)
    return create_trial(params=trial.chosen, distributions=fixed.distributions, value=trial.value)


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Finished trials of which one key has a given value, or lies in one bin of its range."""

    key: str
    values: str
    num_trials: int
    best: float
    median: float


def slices(
    sweep: Sweep, trials: Sequence[TrialResult], model: str, *, direction: Literal["min", "max"]
) -> list[Slice]:
    """Slices along every key of a model, in the space's order; empty bins are left out."""
    finished = [trial for trial in trials_of(trials, model) if trial.status == "finished"]
    better = min if direction == "min" else max
    return [
        Slice(
            key=key,
            values=name,
            num_trials=len(inside),
            best=better(inside),
            median=statistics.median(inside),
        )
        for key, dimension in model_space(sweep.space, model).items()
        for name, is_member in bins(dimension)
        if (
            inside := [
                trial.value
                for trial in finished
                if trial.value is not None and key in trial.chosen and is_member(trial.chosen[key])
            ]
        )
    ]


def bins(dimension: Dimension) -> list[tuple[str, Callable[[Scalar], bool]]]:
    """Name and membership test of each bin; every value of the dimension is in exactly one."""
    values = dimension.values
    if isinstance(dimension, Choice) or (values is not None and len(values) <= NUM_BINS):
        return [(format_value(value), _one_of([value])) for value in values or []]
    assert not isinstance(dimension, Choice)
    if values is not None and not dimension.log:
        cuts = [round(len(values) * part / NUM_BINS) for part in range(NUM_BINS + 1)]
        groups = [values[start:end] for start, end in itertools.pairwise(cuts)]
        return [(_range(group[0], group[-1]), _one_of(group)) for group in groups]
    scale, inverse = (math.log, math.exp) if dimension.log else (float, float)
    low, high = scale(dimension.low), scale(dimension.high)
    shares = [i / NUM_BINS for i in range(NUM_BINS + 1)]
    edges = [inverse((1 - share) * low + share * high) for share in shares]
    return [(_range(edges[i], edges[i + 1]), _in_bin(edges, i)) for i in range(NUM_BINS)]


def _one_of(values: list[Scalar]) -> Callable[[Scalar], bool]:
    return lambda value: any(same(value, other) for other in values)


def _in_bin(edges: list[float], index: int) -> Callable[[Scalar], bool]:
    inner = edges[1:-1]
    return lambda value: isinstance(value, int | float) and bisect_right(inner, value) == index


def format_value(value: Scalar) -> str:
    """Text of a setting's value in tables and on axes."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _range(first: Scalar, last: Scalar) -> str:
    if first == last:
        return format_value(first)
    ends = (f"{value:.3g}" if isinstance(value, float) else str(value) for value in (first, last))
    return " to ".join(ends)
