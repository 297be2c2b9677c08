"""What a sweep tries next, as a function of what it has tried.

Trials are drawn in a rehearsal: a study in memory that holds a copy of the history, with a sampler
made for this one trial. So it does not matter which process asks, nor how often workers were
killed before, and nothing half drawn is ever stored.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Iterator, Sequence
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


def propose(
    sweep: Sweep, model: str, history: Sequence[FrozenTrial], direction: Direction
) -> FrozenTrial:
    """The next trial of a model after `history`, which is in the order of the trials' numbers."""
    if sweep.sampler.name == "qmc":
        return _next_of_sequence(sweep, model, len(history), direction)
    sampler = make_sampler(sweep, model, len(history))
    return _draw(rehearse(history, direction, sampler=sampler), sweep, model)


def rehearse(
    history: Sequence[FrozenTrial],
    direction: Direction,
    *,
    sampler: BaseSampler | None = None,
    name: str = "rehearsal",
) -> optuna.Study:
    """A study in memory with a copy of `history`, numbers and all."""
    study = optuna.create_study(
        study_name=name,
        direction="minimize" if direction == "min" else "maximize",
        sampler=sampler or RandomSampler(seed=0),
        pruner=NopPruner(),
    )
    for trial in history:
        study.add_trial(_as_running(trial) if trial.state == TrialState.WAITING else trial)
    return study


def make_sampler(sweep: Sweep, model: str, number: int) -> BaseSampler:
    """The sampler of one trial: its seed is a function of the sweep's and the trial's number."""
    digest = hashlib.sha256(f"{sweep.sampler.seed}:{number}".encode()).digest()
    seed = int.from_bytes(digest[:4])
    if sweep.sampler.name == "random":
        return RandomSampler(seed=seed)
    if sweep.sampler.name == "grid":
        return GridSampler(grid(sweep.space, model), seed=sweep.sampler.seed)
    return TPESampler(n_startup_trials=sweep.sampler.startup, seed=seed)


def grid_size(sweep: Sweep, model: str) -> int | None:
    """How many trials there are when the sampler is a grid."""
    if sweep.sampler.name != "grid":
        return None
    size = len(start_points(sweep, model))
    num_points = 1
    for values in grid(sweep.space, model).values():
        num_points *= len(values)
    return size + num_points


def _draw(study: optuna.Study, sweep: Sweep, model: str) -> FrozenTrial:
    number, points = len(study.get_trials(deepcopy=False)), start_points(sweep, model)
    if number < len(points):
        study.enqueue_trial(points[number])
    suggest(study.ask(), sweep.space, model)
    return study.get_trials()[number]


def _next_of_sequence(sweep: Sweep, model: str, number: int, direction: Direction) -> FrozenTrial:
    """A quasi-random sequence depends on no value; it is gone through from its beginning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = QMCSampler(
            seed=sweep.sampler.seed, scramble=True, warn_independent_sampling=False
        )
    study = rehearse([], direction, sampler=sampler)
    for earlier in range(number):
        _draw(study, sweep, model)
        study.tell(earlier, 0.0)
    return _draw(study, sweep, model)


def _as_running(trial: FrozenTrial) -> FrozenTrial:
    """A waiting trial would be the next that a study hands out."""
    running = copy.copy(trial)
    running.state, running.datetime_start = TrialState.RUNNING, datetime.now()
    return running


# Whether a trial is to end early; decided from what is stored alone, as often as asked.


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
