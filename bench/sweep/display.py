"""Text output of a sweep: its progress while it runs, and the summary at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from statistics import fmean, stdev
from typing import get_args

from bench.core.aligned import aligned
from bench.core.record import read_record
from bench.core.suite import Suite
from bench.sweep.budget import repeat_seeds, used_share
from bench.sweep.report import format_metric, format_settings
from bench.sweep.status import StoredTrial, SweepState
from bench.sweep.trial import COUNTED, Status, TrialResult


def progress(state: SweepState) -> list[str]:
    """Lines that show how far the sweep is: one in all, one per worker, one per model's best."""
    best = [
        f"  best {model} {format_metric(found.value)}  {format_settings(found.chosen)}"
        for model in state.studies.sweep.models
        if (found := state.best(model))
    ]
    return [_headline(state), *map(_worker_line, state.unfinished()), *best]


def summary(state: SweepState) -> str:
    """Table of each model's trials, best value and cost."""
    rows = [_summary_row(state, model) for model in state.studies.sweep.models]
    metric = f"valid {state.studies.card.metric.name}"
    header = ("model", "trials", metric, "trial", "weights", "seconds", "settings")
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    return aligned([header[i] for i in kept], [[row[i] for i in kept] for row in rows])


def repeat_lines(state: SweepState, suite: Suite) -> list[str]:
    """Test metric of each model's best configuration over its fresh seeds, from the records."""
    lines = []
    for model, repeats in state.repeats.items():
        best = state.best(model)
        mine = [t.result for t in repeats if best and t.repeat_of == best.number]
        run_ids = [run_id for result in mine for run_id in result.run_ids]
        paths = [suite.record_path(state.studies.sweep.task, run_id) for run_id in run_ids]
        found = [read_record(path).metrics.get("test") for path in paths if path.is_file()]
        values = [value for value in found if value is not None]
        if values:
            spread = f" ± {stdev(values):.2g}" if len(values) > 1 else ""
            seeds = f"{len(values)} fresh seed{'s' if len(values) > 1 else ''}"
            lines.append(f"{model} with {seeds}: test {format_metric(fmean(values))}{spread}")
    return lines


def ended_line(result: TrialResult) -> str:
    """One line about a trial that has ended."""
    value = "" if result.value is None else f" {format_metric(result.value)}"
    reason = f": {result.reason}" if result.reason else ""
    return (
        f"{result.model} trial {result.number} {result.status}{value}{reason}  "
        f"{format_settings(result.chosen)}"
    )


def remaining_sec(state: SweepState) -> float | None:
    """Estimated seconds until the budget is used up; None before each model's first trial."""
    seconds = 0.0
    for model in state.studies.sweep.models:
        ended = [result.seconds for result in state.results(model) if result.status in COUNTED]
        if not ended:
            return None
        seconds += _model_remaining_sec(state, model, fmean(ended))
    num_running = sum(trial.result.status == "running" for trial in state.unfinished())
    return seconds / max(1, num_running)


def _model_remaining_sec(state: SweepState, model: str, mean_sec: float) -> float:
    """Seconds of a model's new, running and repeated trials if each takes the mean."""
    sweep, results = state.studies.sweep, state.results(model)
    budget = sweep.budget
    share = used_share(sweep, model, results)
    used_sec = sum(result.seconds for result in results)
    new_sec = max(0.0, used_sec / share - used_sec) if share else 0.0
    if budget.seconds is None and budget.flops is None and budget.trials is not None:
        num_counted = sum(result.status != "failed" for result in results)
        new_sec = max(0, budget.trials - num_counted) * mean_sec
    running = [trial for trial in state.unfinished() if trial.result.model == model]
    running_sec = sum((1 - trial.progress) * mean_sec for trial in running)
    num_repeats = max(0, len(repeat_seeds(sweep)) - len(state.repeats.get(model, ())))
    return new_sec + running_sec + num_repeats * mean_sec


def _headline(state: SweepState) -> str:
    sweep = state.studies.sweep
    counts = _counts(result for model in sweep.models for result in state.results(model))
    shares = [
        used_share(sweep, model, [t for t in state.results(model) if t.status in COUNTED])
        for model in sweep.models
    ]
    used = f"{min(1.0, sum(shares) / len(shares)):.0%} of the budget"
    parts = [sweep.name, counts or "no trial yet", used]
    if sweep.repeat_best:
        done = sum(t.result.status in COUNTED for group in state.repeats.values() for t in group)
        parts.append(f"{done} of {sweep.repeat_best * len(sweep.models)} repeats")
    remaining = remaining_sec(state)
    if state.is_done:
        parts.append("done")
    elif remaining is not None:
        parts.append(f"{clock(remaining)} left")
    return " · ".join(parts)


def _counts(results: Iterable[TrialResult]) -> str:
    counts = Counter(result.status for result in results)
    return ", ".join(f"{counts[status]} {status}" for status in get_args(Status) if counts[status])


def _worker_line(trial: StoredTrial) -> str:
    result, frozen = trial.result, trial.frozen
    worker = "no worker" if result.status == "waiting" else result.worker
    lost = " (lost)" if result.status == "lost" else ""
    number = result.number if trial.repeat_of is None else f"{trial.repeat_of} again"
    step, started = frozen.last_step, frozen.datetime_start
    parts = [f"  {worker}{lost}", result.model, f"trial {number}"]
    if trial.num_epochs:
        parts.append(f"epoch {step or 0}/{trial.num_epochs}")
    if step is not None:
        parts.append(f"valid {format_metric(frozen.intermediate_values[step])}")
    if started is not None:
        parts.append(clock(time.time() - started.timestamp()))
    return "  ".join(parts)


def _summary_row(state: SweepState, model: str) -> tuple[str, ...]:
    results, best = state.results(model), state.best(model)
    return (
        model,
        _counts(results),
        format_metric(best.value) if best else "",
        str(best.number) if best else "",
        f"{best.num_parameters:,}" if best and best.num_parameters else "",
        f"{sum(result.seconds for result in results):,.0f}",
        format_settings(best.chosen) if best else "",
    )


def clock(seconds: float) -> str:
    """Text of a duration: 1:05 or 2:03:05."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
