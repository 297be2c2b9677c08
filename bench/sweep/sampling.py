"""What a sweep tries next, as a function of what it has tried.

Trials are drawn in a rehearsal: a study in memory that holds a copy of the history, with a sampler
made for this one trial. So it does not matter which process asks, nor how often workers were
killed before, and nothing half drawn is ever stored.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import NopPruner
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
