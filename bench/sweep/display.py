"""A sweep on the screen: one line a worker, the best so far, what is left; at the end a table."""

from __future__ import annotations

import time
from collections import Counter
from statistics import fmean, stdev

from bench.core.aligned import aligned
from bench.core.record import read_record
from bench.core.suite import Suite
from bench.sweep.budget import fresh_seeds, share_spent
from bench.sweep.report import number, settings
from bench.sweep.status import Seen, State
from bench.sweep.study import SPENT, Status, TrialResult

ORDER: tuple[Status, ...] = (
    "finished",
    "pruned",
    "diverged",
    "failed",
    "running",
    "lost",
    "waiting",
)


def progress(state: State) -> list[str]:
    """How the sweep stands, in a few lines of text."""
    return [_headline(state), *map(_worker_line, state.live()), *_best_lines(state)]


def summary(state: State) -> str:
    """The table that ends a sweep: each model's trials, its best value, what it took."""
    rows = [_row(state, model) for model in state.studies.sweep.models]
    metric = f"valid {state.studies.card.metric.name}"
    header = ("model", "trials", metric, "trial", "weights", "seconds", "settings")
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    return aligned([header[i] for i in kept], [[row[i] for i in kept] for row in rows])


def repeated(state: State, suite: Suite) -> list[str]:
    """What the best of each model came to on test with fresh seeds, from the records."""
    lines = []
    for model, part in state.repeats.items():
        best = state.best(model)
        runs = [run for s in part if best and s.of == best.number for run in s.result.run_ids]
        paths = [suite.record_path(state.studies.sweep.task, run) for run in runs]
        found = [read_record(path).metrics.get("test") for path in paths if path.is_file()]
        values = [value for value in found if value is not None]
        if values:
            spread = f" ± {stdev(values):.2g}" if len(values) > 1 else ""
            seeds = f"{len(values)} fresh seed{'s' if len(values) > 1 else ''}"
            lines.append(f"{model} with {seeds}: test {number(fmean(values))}{spread}")
    return lines


def ended(result: TrialResult) -> str:
    """One line for a trial that is over."""
    value = "" if result.value is None else f" {number(result.value)}"
    reason = f": {result.reason}" if result.reason else ""
    return (
        f"{result.model} trial {result.number} {result.status}{value}{reason}  "
        f"{settings(result.chosen)}"
    )


def left_sec(state: State) -> float | None:
    """Seconds until the budget is used up, at the speed so far; None before the first trial."""
    sweep, live = state.studies.sweep, state.live()
    seconds = 0.0
    for model in sweep.models:
        over = [result for result in state.results(model) if result.status in SPENT]
        if not over:
            return None
        mean = sum(result.seconds for result in over) / len(over)
        seconds += _model_left_sec(state, model, mean)
    return seconds / max(1, sum(seen.result.status == "running" for seen in live))


def _model_left_sec(state: State, model: str, mean_sec: float) -> float:
    """Of what may yet begin and of what runs, if every trial took the mean."""
    sweep, results = state.studies.sweep, state.results(model)
    budget = sweep.budget
    counted = sum(result.status != "failed" for result in results)
    share = share_spent(sweep, model, results)
    spent_sec = sum(result.seconds for result in results)
    to_begin = max(0.0, spent_sec / share - spent_sec) if share else 0.0
    if budget.seconds is None and budget.flops is None and budget.trials is not None:
        to_begin = max(0, budget.trials - counted) * mean_sec
    running = [seen for seen in state.live() if seen.result.model == model]
    to_end = sum((1 - seen.share_done) * mean_sec for seen in running)
    begun = len(state.repeats[model])
    return to_begin + to_end + max(0, len(fresh_seeds(sweep)) - begun) * mean_sec


def _headline(state: State) -> str:
    sweep = state.studies.sweep
    everything = [result for model in sweep.models for result in state.results(model)]
    counts = Counter(result.status for result in everything)
    told = ", ".join(f"{counts[status]} {status}" for status in ORDER if counts[status])
    parts = [sweep.name, told or "no trial yet", _budget_used(state)]
    if sweep.repeat_best:
        done = sum(s.result.status in SPENT for part in state.repeats.values() for s in part)
        parts.append(f"{done} of {sweep.repeat_best * len(sweep.models)} repeats")
    left = left_sec(state)
    parts.append("done" if state.is_done else "" if left is None else f"{clock(left)} left")
    return " · ".join(part for part in parts if part)


def _budget_used(state: State) -> str:
    sweep = state.studies.sweep
    shares = [
        share_spent(sweep, model, [t for t in state.results(model) if t.status in SPENT])
        for model in sweep.models
    ]
    return f"{min(1.0, sum(shares) / len(shares)):.0%} of the budget"


def _worker_line(seen: Seen) -> str:
    result, stored = seen.result, seen.stored
    if result.status == "waiting":
        who = "nobody"
    else:
        who = f"{result.worker}{' (lost)' if result.status == 'lost' else ''}"
    what = f"trial {result.number}" if seen.of is None else f"trial {seen.of} again"
    step = stored.last_step
    where = f"epoch {step or 0}/{seen.num_epochs}" if seen.num_epochs else ""
    value = f"valid {number(stored.intermediate_values[step])}" if step is not None else ""
    since = (
        ""
        if stored.datetime_start is None
        else clock(time.time() - stored.datetime_start.timestamp())
    )
    return "  ".join(part for part in (f"  {who}", result.model, what, where, value, since) if part)


def _best_lines(state: State) -> list[str]:
    return [
        f"  best {model} {number(best.value)}  {settings(best.chosen)}"
        for model in state.studies.sweep.models
        if (best := state.best(model))
    ]


def _row(state: State, model: str) -> tuple[str, ...]:
    results, best = state.results(model), state.best(model)
    counts = Counter(result.status for result in results)
    return (
        model,
        ", ".join(f"{counts[status]} {status}" for status in ORDER if counts[status]),
        number(best.value) if best else "",
        str(best.number) if best else "",
        f"{best.num_parameters:,}" if best and best.num_parameters else "",
        f"{sum(result.seconds for result in results):,.0f}",
        settings(best.chosen) if best else "",
    )


def clock(seconds: float) -> str:
    """1:05 or 2:03:05."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
