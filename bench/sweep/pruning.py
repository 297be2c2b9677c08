"""Whether a trial is to end early; decided from what is stored alone, as often as asked."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.trial import FrozenTrial

from bench.sweep.definition import Sweep
from bench.sweep.sampling import Direction, rehearse

RUNG = "completed_rung_"
"""Optuna's note, on a trial, of its value at a rung of successive halving."""


def make_pruner(sweep: Sweep, num_steps: int) -> BasePruner | None:
    """The sweep's pruner for trials of at most `num_steps` validations, counted from 1."""
    pruner = sweep.pruner
    first = pruner.warmup + 1
    if pruner.name == "median":
        return MedianPruner(n_startup_trials=pruner.startup, n_warmup_steps=first)
    if pruner.name == "percentile":
        return PercentilePruner(
            pruner.percentile, n_startup_trials=pruner.startup, n_warmup_steps=first
        )
    if pruner.name == "asha":
        return SuccessiveHalvingPruner(
            min_resource=pruner.min_epochs, reduction_factor=pruner.reduction
        )
    if pruner.name == "hyperband":
        return HyperbandPruner(
            min_resource=pruner.min_epochs,
            max_resource=max(num_steps, pruner.min_epochs),
            reduction_factor=pruner.reduction,
        )
    return None


def should_prune(
    pruner: BasePruner | None, study: optuna.Study, number: int, step: int
) -> tuple[bool, dict[str, float]]:
    """The verdict on a trial after `step`, and the values at rungs that others compare with.

    Successive halving marks a rung as passed while it judges; a worker killed in between would
    find it passed. Hence trial and rungs are gone through from the first step, in a rehearsal.
    """
    if pruner is None:
        return False, {}
    trials = study.get_trials()
    direction: Direction = (
        "min" if study.direction == optuna.study.StudyDirection.MINIMIZE else "max"
    )
    mine = trials[number]
    if not isinstance(pruner, SuccessiveHalvingPruner | HyperbandPruner):
        return pruner.prune(study, _until(mine, step)), {}
    mine.system_attrs = {k: v for k, v in mine.system_attrs.items() if not k.startswith(RUNG)}
    scene = rehearse(trials, direction, name=study.study_name)
    verdict = False
    for each in _steps(mine, step):
        verdict = pruner.prune(scene, _until(scene.get_trials()[number], each))
    rungs = scene.get_trials()[number].system_attrs
    return verdict, {key: value for key, value in rungs.items() if key.startswith(RUNG)}


def _steps(trial: FrozenTrial, last: int) -> Iterator[int]:
    return (step for step in sorted(trial.intermediate_values) if step <= last)


def _until(trial: FrozenTrial, step: int) -> FrozenTrial:
    """The trial as it was after `step`."""
    known = trial.intermediate_values
    trial.intermediate_values = {each: known[each] for each in _steps(trial, step)}
    return trial
