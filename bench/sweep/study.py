"""The studies of a sweep in its storage: for each model its trials, and the repeats of its best."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
import optuna
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler

from bench.core.cards import Card
from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.sweep.definition import Sweep, definition_digest
from bench.sweep.storage import Storage, shown

Kind = Literal["trial", "repeat"]


@dataclass(frozen=True, kw_only=True)
class Studies:
    """A sweep that has begun."""

    sweep: Sweep
    card: Card
    storage: Storage
    trials: dict[str, optuna.Study]
    """Model -> what was tried."""
    repeats: dict[str, optuna.Study]
    """Model -> its best configuration with fresh seeds."""

    def all(self) -> Iterator[tuple[Kind, str, optuna.Study]]:
        """Every study with its kind and model, trials before repeats."""
        for model, study in self.trials.items():
            yield "trial", model, study
        for model, study in self.repeats.items():
            yield "repeat", model, study

    @property
    def started(self) -> float:
        """When the sweep began, in seconds since the epoch."""
        return min(float(study.user_attrs["started"]) for _, _, study in self.all())


def open_studies(
    sweep: Sweep, suite: Suite, storage: Storage, *, missing: Literal["make", "refuse"] = "make"
) -> Studies:
    """The studies of a sweep, begun where they are not.

    Raises BenchError where trials were made under another definition of the sweep, and, with
    `missing="refuse"`, where nothing has begun.
    """
    card = suite.card(sweep.task)
    with storage.alone():
        return Studies(
            sweep=sweep,
            card=card,
            storage=storage,
            trials={
                model: _open(sweep, card, storage, f"{sweep.name}/{model}", missing)
                for model in sweep.models
            },
            repeats={
                model: _open(sweep, card, storage, f"{sweep.name}/{model}/best", missing)
                for model in sweep.models
            },
        )


def forget(sweep: Sweep, storage: Storage) -> None:
    """Delete the studies of a sweep; the records of its trials stay."""
    with storage.alone():
        for name in optuna.get_all_study_names(storage.studies):
            if name.startswith(f"{sweep.name}/"):
                optuna.delete_study(study_name=name, storage=storage.studies)


def _open(
    sweep: Sweep, card: Card, storage: Storage, name: str, missing: Literal["make", "refuse"]
) -> optuna.Study:
    digest = definition_digest(sweep, card.version)
    if name in optuna.get_all_study_names(storage.studies):
        study = optuna.load_study(
            study_name=name,
            storage=storage.studies,
            sampler=RandomSampler(seed=0),  # bench.sweep.sampling draws and prunes
            pruner=NopPruner(),
        )
        if study.user_attrs.get("definition", digest) != digest and study.get_trials():
            raise BenchError(
                f"sweep {sweep.name!r} has changed since its trials in {shown(storage.url)} were "
                "made: give the file another name, or forget those trials with --again"
            )
    elif missing == "refuse":
        raise BenchError(f"sweep {sweep.name!r} has not begun in {shown(storage.url)}")
    else:
        study = optuna.create_study(
            study_name=name,
            storage=storage.studies,
            direction="minimize" if card.metric.direction == "min" else "maximize",
            sampler=RandomSampler(seed=0),
            pruner=NopPruner(),
        )
        study.set_user_attr("started", time.time())
    if study.user_attrs.get("definition") != digest:
        study.set_user_attr("definition", digest)
    return study


# What is known of one trial of a sweep, wherever the study is stored.


Status = Literal["waiting", "running", "finished", "pruned", "diverged", "failed", "lost"]
SPENT: frozenset[Status] = frozenset(("finished", "pruned", "diverged"))
"""Statuses of trials that are over and count towards the budget."""


class TrialResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One trial: what was chosen, what came of it, what it took."""

    number: int
    """Optuna's number of the trial in the study of its model."""
    model: str
    chosen: dict[str, Scalar]
    """Dotted key -> value, for the keys of the space whose conditions held."""
    status: Status
    value: float | None = None
    """Validation metric, the mean over the sweep's seeds; only of a finished trial."""
    intermediate: dict[int, float] = {}
    """Step of the report (epoch, over all seeds) -> validation metric."""
    num_parameters: int | None = None
    """Weights of the network."""
    seconds: float = 0.0
    """Training and validation, all sittings and seeds."""
    flops: float = 0.0
    """Training, matrix products only, by formula; all seeds."""
    run_ids: list[str] = []
    """Names of the records, one a seed."""
    worker: str | None = None
    """`host:pid` of who carries it out, or did."""
    retry_of: int | None = None
    """Number of the lost trial that this one goes on with."""
    reason: str | None = None
    """Why it failed or was lost."""
    order: float | None = None
    """When it ended, in seconds since the sweep's first start; orders curves across workers."""


def of_model(trials: Iterable[TrialResult], model: str) -> list[TrialResult]:
    """The trials of one model, by number."""
    return sorted((t for t in trials if t.model == model), key=lambda trial: trial.number)


def spent(trials: Iterable[TrialResult]) -> list[TrialResult]:
    """The trials that are over and count towards the budget, in the order of their end."""
    over = [trial for trial in trials if trial.status in SPENT]
    return sorted(over, key=lambda t: (t.number if t.order is None else t.order, t.number))
