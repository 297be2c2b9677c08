"""Proposal and pruning of trials, as functions of a sweep's stored history alone.

Trials are drawn in a copy of the study in memory, by a sampler made for this one trial. Results
depend neither on the process that asks nor on earlier kills, and no half-drawn trial is stored.
"""

from __future__ import annotations

import copy
import hashlib
import math
import warnings
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, GridSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from bench.sweep.definition import Sweep
from bench.sweep.space import grid, start_points, suggest

Direction = Literal["min", "max"]
RUNG = "completed_rung_"
"""Prefix of the system attributes that hold a trial's values at the rungs of successive halving."""


def propose(
    sweep: Sweep, model: str, history: Sequence[FrozenTrial], direction: Direction
) -> FrozenTrial:
    """Next trial of a model after `history`, which is ordered by trial number."""
    sampler = make_sampler(sweep, model, len(history))
    if sweep.sampler.name != "qmc":
        return _draw(copy_study(history, direction, sampler=sampler), sweep, model)
    study = copy_study([], direction, sampler=sampler)
    for earlier in range(len(history)):  # the sequence has no other state than its length
        _draw(study, sweep, model)
        study.tell(earlier, 0.0)
    return _draw(study, sweep, model)


def copy_study(
    history: Sequence[FrozenTrial],
    direction: Direction,
    *,
    sampler: BaseSampler | None = None,
    name: str = "copy",
) -> optuna.Study:
    """Study in memory with a copy of `history`, including numbers."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # not a line per copy
    study = optuna.create_study(
        study_name=name,
        direction="minimize" if direction == "min" else "maximize",
        sampler=sampler or RandomSampler(seed=0),
        pruner=NopPruner(),
    )
    for trial in history:
        if trial.state == TrialState.WAITING:  # `study.ask` would hand it out
            trial = copy.copy(trial)
            trial.state, trial.datetime_start = TrialState.RUNNING, datetime.now()
        study.add_trial(trial)
    return study


def make_sampler(sweep: Sweep, model: str, number: int) -> BaseSampler:
    """Sampler of one trial; what it draws depends on the sweep's seed and the trial's number."""
    digest = hashlib.sha256(f"{sweep.sampler.seed}:{number}".encode()).digest()
    seed = int.from_bytes(digest[:4])
    if sweep.sampler.name == "random":
        return RandomSampler(seed=seed)
    if sweep.sampler.name == "qmc":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return QMCSampler(
                seed=sweep.sampler.seed, scramble=True, warn_independent_sampling=False
            )
    if sweep.sampler.name == "grid":
        return GridSampler(grid(sweep.space, model), seed=sweep.sampler.seed)
    return TPESampler(n_startup_trials=sweep.sampler.startup, seed=seed)


def grid_size(sweep: Sweep, model: str) -> int | None:
    """Number of trials of a grid sampler; None for the other samplers."""
    if sweep.sampler.name != "grid":
        return None
    num_points = math.prod(len(values) for values in grid(sweep.space, model).values())
    return len(start_points(sweep, model)) + num_points


def _draw(study: optuna.Study, sweep: Sweep, model: str) -> FrozenTrial:
    number, points = len(study.get_trials(deepcopy=False)), start_points(sweep, model)
    if number < len(points):
        study.enqueue_trial(points[number])
    suggest(study.ask(), sweep.space, model)
    return study.get_trials()[number]


def make_pruner(sweep: Sweep, num_steps: int) -> BasePruner | None:
    """Pruner for trials of at most `num_steps` validations, counted from 1."""
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
    """Pruning decision after `step`, and the trial's values at rungs, for others to compare with.

    Successive halving marks a rung as passed while it decides, so a worker that resumed after a
    kill would find it passed. Hence all steps are replayed in a copy of the study.
    """
    if pruner is None:
        return False, {}
    trials = study.get_trials()
    direction: Direction = (
        "min" if study.direction == optuna.study.StudyDirection.MINIMIZE else "max"
    )
    trial = trials[number]
    if not isinstance(pruner, SuccessiveHalvingPruner | HyperbandPruner):
        return pruner.prune(study, _until(trial, step)), {}
    trial.system_attrs = {k: v for k, v in trial.system_attrs.items() if not k.startswith(RUNG)}
    replay = copy_study(trials, direction, name=study.study_name)
    is_pruned = False
    for earlier in sorted(trial.intermediate_values):
        if earlier <= step:
            is_pruned = pruner.prune(replay, _until(replay.get_trials()[number], earlier))
    rungs = replay.get_trials()[number].system_attrs
    return is_pruned, {key: value for key, value in rungs.items() if key.startswith(RUNG)}


def _until(trial: FrozenTrial, step: int) -> FrozenTrial:
    known = trial.intermediate_values
    trial.intermediate_values = {each: known[each] for each in sorted(known) if each <= step}
    return trial
