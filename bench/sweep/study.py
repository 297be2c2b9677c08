"""Optuna studies of a sweep: for each model one of its trials and one of repeats of its best."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler

from bench.core.cards import Card
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.sweep.definition import Sweep, definition_digest
from bench.sweep.space import tree_of
from bench.sweep.storage import Storage, redacted

Kind = Literal["trial", "repeat"]


@dataclass(frozen=True, kw_only=True)
class Studies:
    """Sweep with its storage and its studies by model."""

    sweep: Sweep
    card: Card
    storage: Storage
    trials: dict[str, optuna.Study]
    repeats: dict[str, optuna.Study]
    """Best configuration of each model with fresh seeds."""

    def all(self) -> Iterator[tuple[Kind, str, optuna.Study]]:
        """Every study with its kind and model, trials before repeats."""
        for model, study in self.trials.items():
            yield "trial", model, study
        for model, study in self.repeats.items():
            yield "repeat", model, study

    @property
    def started(self) -> float:
        """Start of the sweep, in seconds since the epoch."""
        return min(float(study.user_attrs["started"]) for _, _, study in self.all())


def open_studies(
    sweep: Sweep, suite: Suite, storage: Storage, *, missing: Literal["create", "refuse"] = "create"
) -> Studies:
    """Open the studies of a sweep, creating missing ones.

    Raises BenchError if trials were made under another definition of the sweep and, with
    `missing="refuse"`, if a study does not exist.
    """
    card = suite.card(sweep.task)
    # A state is read from any machine, also where the data is not.
    identity = _data_identity(sweep, suite) if missing == "create" else None
    with storage.lock():
        trials, repeats = (
            {
                model: _open_study(
                    sweep, card, storage, f"{sweep.name}/{model}{suffix}", missing, identity
                )
                for model in sweep.models
            }
            for suffix in ("", "/best")
        )
    return Studies(sweep=sweep, card=card, storage=storage, trials=trials, repeats=repeats)


def delete_studies(sweep: Sweep, storage: Storage) -> None:
    """Delete the studies of a sweep; the records of its trials stay."""
    with storage.lock():
        for name in optuna.get_all_study_names(storage.backend):
            if name.startswith(f"{sweep.name}/"):
                optuna.delete_study(study_name=name, storage=storage.backend)


def _data_identity(sweep: Sweep, suite: Suite) -> str | None:
    """Name of the content of own data that the trials are trained on; None where it is pinned."""
    overrides = tree_of(sweep.fixed)
    return resolve(suite, sweep.task, model=sweep.models[0], overrides=overrides).data_identity


def _open_study(
    sweep: Sweep,
    card: Card,
    storage: Storage,
    name: str,
    missing: Literal["create", "refuse"],
    identity: str | None,
) -> optuna.Study:
    digest = definition_digest(sweep, card.version)
    common: dict[str, Any] = {
        "study_name": name,
        "storage": storage.backend,
        "sampler": RandomSampler(seed=0),  # unused: bench.sweep.sampling draws and prunes
        "pruner": NopPruner(),
    }
    if name in optuna.get_all_study_names(storage.backend):
        study = optuna.load_study(**common)
    elif missing == "refuse":
        raise BenchError(f"sweep {sweep.name!r} has not begun in {redacted(storage.url)}")
    else:
        is_min = card.metric.direction == "min"
        study = optuna.create_study(**common, direction="minimize" if is_min else "maximize")
        study.set_user_attr("started", time.time())
    if study.user_attrs.get("definition", digest) != digest and study.get_trials():
        raise BenchError(
            f"sweep {sweep.name!r} has changed since its trials in {redacted(storage.url)} were "
            "made: give the file another name, or forget those trials with --again"
        )
    if identity is not None and study.user_attrs.get("data", identity) != identity:
        raise BenchError(
            f"sweep {sweep.name!r} was started on other data ({study.user_attrs['data']}, now "
            f"{identity}): put the original back, give the file another name, or forget its trials "
            "with --again"
        )
    if identity is not None and "data" not in study.user_attrs:
        study.set_user_attr("data", identity)
    if study.user_attrs.get("definition") != digest:
        study.set_user_attr("definition", digest)
    return study
