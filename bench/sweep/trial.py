"""Result of one trial, independent of the study's storage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from bench.core.config import Scalar

Status = Literal["finished", "pruned", "diverged", "failed", "running", "lost", "waiting"]
COUNTED: frozenset[Status] = frozenset(("finished", "pruned", "diverged"))
"""Statuses of ended trials that count towards the budget."""
UNFINISHED: frozenset[Status] = frozenset(("waiting", "running", "lost"))


class TrialResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One trial: chosen settings, status, validation metric and cost."""

    number: int
    """Optuna's number of the trial in the study of its model."""
    model: str
    chosen: dict[str, Scalar]
    """Dotted key -> value, for the keys of the space whose conditions held."""
    status: Status
    value: float | None = None
    """Validation metric, the mean over the sweep's seeds; only of a finished trial."""
    intermediate: dict[int, float] = {}
    """Validation step (epoch, counted over all seeds) -> validation metric."""
    num_parameters: int | None = None
    seconds: float = 0.0
    """Training and validation, over all sessions and seeds."""
    flops: float = 0.0
    """Training, matrix products only, by formula; over all seeds."""
    run_ids: list[str] = []
    """Names of the records, one per seed."""
    worker: str | None = None
    """`host:pid` of the latest worker."""
    reason: str | None = None
    """Reason of a failure."""
    order: float | None = None
    """Seconds from the start of the sweep to the trial's end; orders curves across workers."""


def trials_of(trials: Iterable[TrialResult], model: str) -> list[TrialResult]:
    """Trials of one model, by number."""
    return sorted((t for t in trials if t.model == model), key=lambda trial: trial.number)


def counted_trials(trials: Iterable[TrialResult]) -> list[TrialResult]:
    """Trials that count towards the budget, in the order of their end."""
    ended = [trial for trial in trials if trial.status in COUNTED]
    return sorted(ended, key=lambda t: (t.number if t.order is None else t.order, t.number))
