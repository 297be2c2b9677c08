"""How much of its budget a model has used, and which repeats of its best are still to be run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bench.sweep.definition import Sweep
from bench.sweep.sampling import grid_size
from bench.sweep.study import SPENT, TrialResult

LIVE = frozenset(("waiting", "running", "lost"))
"""Statuses of trials that are not over."""
RESOLUTION_SEC = 0.1
"""That of a record; what took less would never use up a budget of seconds."""


def share_spent(sweep: Sweep, model: str, trials: Sequence[TrialResult]) -> float:
    """Share of a model's budget that is used, its live trials among it; at 1 none may begin.

    Trials count once begun, seconds and FLOPs as far as they are known. A trial that was told from
    an earlier record counts with what it took then; one that failed does not count.
    """
    counted = [trial for trial in trials if trial.status in SPENT or trial.status in LIVE]
    budget, shares = sweep.budget, [0.0]
    if budget.trials is not None:
        shares.append(len(counted) / budget.trials)
    if budget.seconds is not None:
        shares.append(sum(map(_seconds, counted)) / budget.seconds)
    if budget.flops is not None:
        shares.append(sum(trial.flops for trial in counted) / budget.flops)
    if (size := grid_size(sweep, model)) is not None:
        shares.append(len(trials) / size)
    return max(shares)


def _seconds(trial: TrialResult) -> float:
    return max(trial.seconds, RESOLUTION_SEC) if trial.status in SPENT else trial.seconds


def is_over(sweep: Sweep, model: str, trials: Sequence[TrialResult]) -> bool:
    """Whether a model's budget is used up and none of its trials is live."""
    return share_spent(sweep, model, trials) >= 1 and not any(t.status in LIVE for t in trials)


def fresh_seeds(sweep: Sweep) -> list[int]:
    """Seeds of the repeats: none that chose the best configuration."""
    first = max(sweep.seeds) + 1
    return list(range(first, first + sweep.repeat_best))


def missing_seed(sweep: Sweep, begun: Collection[int]) -> int | None:
    """The first seed with which the best configuration has not been repeated."""
    return next((seed for seed in fresh_seeds(sweep) if seed not in begun), None)
