"""What is known of one trial of a sweep, wherever the study is stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from bench.core.config import Scalar

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
