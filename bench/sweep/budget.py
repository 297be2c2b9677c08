"""Budget accounting: how much of a model's budget is used, and the seeds of its repeats."""

from __future__ import annotations

from collections.abc import Sequence

from bench.sweep.definition import Sweep
from bench.sweep.sampling import grid_size
from bench.sweep.trial import COUNTED, UNFINISHED, TrialResult

RESOLUTION_SEC = 0.1
"""Resolution of seconds in records; a shorter trial counts as this long, so that budgets end."""


def used_share(sweep: Sweep, model: str, trials: Sequence[TrialResult]) -> float:
    """Used share of a model's budget, including its unfinished trials; at 1 no trial may start.

    Trials count from their start, seconds and FLOPs as far as they are known. A trial answered by
    an earlier record counts with that record's cost. Failed trials do not count.
    """
    counted = [trial for trial in trials if trial.status in COUNTED | UNFINISHED]
    budget, shares = sweep.budget, [0.0]
    if budget.trials is not None:
        shares.append(len(counted) / budget.trials)
    if budget.seconds is not None:
        seconds = [max(t.seconds, RESOLUTION_SEC if t.status in COUNTED else 0.0) for t in counted]
        shares.append(sum(seconds) / budget.seconds)
    if budget.flops is not None:
        shares.append(sum(trial.flops for trial in counted) / budget.flops)
    if (size := grid_size(sweep, model)) is not None:
        shares.append(len(trials) / size)
    return max(shares)


def is_exhausted(sweep: Sweep, model: str, trials: Sequence[TrialResult]) -> bool:
    """True once a model's budget is used up and all of its trials have ended."""
    has_ended = all(trial.status not in UNFINISHED for trial in trials)
    return has_ended and used_share(sweep, model, trials) >= 1


def repeat_seeds(sweep: Sweep) -> list[int]:
    """Seeds of the repeats, none of which chose the best configuration."""
    first = max(sweep.seeds) + 1
    return list(range(first, first + sweep.repeat_best))
