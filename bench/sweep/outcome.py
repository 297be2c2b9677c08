"""Result of a sweep: all its trials, the best of each model, and the cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench.core.cards import Card
from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.core.record import write_atomically
from bench.core.suite import Suite
from bench.sweep.definition import Sweep
from bench.sweep.importance import Importance, importance_of
from bench.sweep.trial import TrialResult, counted_trials, trials_of


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Best value so far, and the cost of all trials up to it."""

    trials: int
    seconds: float
    flops: float
    value: float


class BestTrial(msgspec.Struct, frozen=True, kw_only=True):
    """Best finished trial of a model."""

    number: int
    value: float
    chosen: dict[str, Scalar]
    num_parameters: int | None
    run_ids: list[str]


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """Data behind all tables and figures of a sweep, as stored in its JSON file."""

    schema: int = 1
    name: str
    task: str
    card_version: int
    metric: str
    direction: Literal["min", "max"]
    sweep: Sweep
    best: dict[str, BestTrial]
    """Model -> its best trial; models without a finished one are absent."""
    curves: dict[str, list[CurvePoint]]
    """Model -> best value against used budget."""
    importance: dict[str, Importance]
    """Model -> influence of each setting on its validation metric."""
    repeats: dict[str, list[str]] = {}
    """Model -> full runs of its best configuration with fresh seeds."""
    trials: list[TrialResult]


def summarise(
    sweep: Sweep,
    card: Card,
    trials: Sequence[TrialResult],
    *,
    repeats: dict[str, list[str]] | None = None,
) -> SweepResult:
    """Result of a sweep, finished or not, from its trials."""
    direction = card.metric.direction
    best = {model: best_trial(trials, model, direction) for model in sweep.models}
    importances = {
        model: importance_of(sweep, trials, model, direction=direction) for model in sweep.models
    }
    return SweepResult(
        name=sweep.name,
        task=sweep.task,
        card_version=card.version,
        metric=card.metric.name,
        direction=direction,
        sweep=sweep,
        best={model: found for model, found in best.items() if found},
        curves={model: best_so_far(trials, model, direction) for model in sweep.models},
        importance={model: found for model, found in importances.items() if found},
        repeats=repeats or {},
        trials=[
            msgspec.structs.replace(trial, worker=None)  # host names are not published
            for model in sweep.models
            for trial in trials_of(trials, model)
        ],
    )


def best_trial(
    trials: Sequence[TrialResult], model: str, direction: Literal["min", "max"]
) -> BestTrial | None:
    """Finished trial with the best value; of equal ones the first."""
    finished = [t for t in trials_of(trials, model) if t.status == "finished"]
    if not finished:
        return None
    sign = 1 if direction == "min" else -1
    first = min(finished, key=lambda trial: (sign * _value(trial), trial.number))
    return BestTrial(
        number=first.number,
        value=_value(first),
        chosen=first.chosen,
        num_parameters=first.num_parameters,
        run_ids=first.run_ids,
    )


def best_so_far(
    trials: Sequence[TrialResult], model: str, direction: Literal["min", "max"]
) -> list[CurvePoint]:
    """One point per trial that counts towards the budget, from the first finished one on."""
    better = min if direction == "min" else max
    points: list[CurvePoint] = []
    value: float | None = None
    seconds = flops = 0.0
    for number, trial in enumerate(counted_trials(trials_of(trials, model)), start=1):
        seconds, flops = seconds + trial.seconds, flops + trial.flops
        if trial.status == "finished":
            value = _value(trial) if value is None else better(value, _value(trial))
        if value is not None:
            points.append(CurvePoint(trials=number, seconds=seconds, flops=flops, value=value))
    return points


def _value(trial: TrialResult) -> float:
    assert trial.value is not None, "a finished trial has a value"
    return trial.value


def write_result(result: SweepResult, suite: Suite) -> Path:
    """Write `result` as JSON, with its tables as Markdown beside it; return the JSON's path."""
    from bench.sweep.report import report

    path = suite.sweep_result_path(result.task, result.name)
    write_atomically(path, msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    write_atomically(path.with_suffix(".md"), report(result).encode())
    return path


def read_result(path: Path) -> SweepResult:
    """Read the result of a sweep; raises BenchError for a missing or invalid file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=SweepResult)
    except FileNotFoundError:
        raise BenchError(f"{path}: there is no such file, run the sweep first") from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BenchError(f"{path}: not a sweep's result ({error}), run the sweep again") from None
