"""Which choices the result depended on: a share of the variance for each key, by Optuna.

fANOVA (F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing hyperparameter
importance", ICML 2014) fits a forest to the trials; it needs scikit-learn and looks at keys that
every trial has. PED-ANOVA (S. Watanabe, A. Bansal and F. Hutter, IJCAI 2023) compares the best
tenth of the trials with all of them and needs nothing.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.sweep.definition import Sweep
from bench.sweep.space import distributions
from bench.sweep.trial import TrialResult, of_model

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
