"""The result of a sweep as Markdown tables."""

from __future__ import annotations

from typing import Any

from bench.sweep.importance import METHODS
from bench.sweep.outcome import SweepResult
from bench.sweep.slices import Slice, slices, written
from bench.sweep.space import MODEL
from bench.sweep.trial import SPENT, TrialResult, of_model
from bench.table.column import Column
from bench.table.markup import Section, as_markdown

_WORDS = frozenset(("Model", "Setting", "Settings", "Values", "Method"))


def report(result: SweepResult) -> str:
    """Best of each model, importance and slices, each with what it rests on."""
    return f"# Sweep {result.name}\n\n" + as_markdown(sections(result), legend(result))


def sections(result: SweepResult) -> list[Section]:
    """The tables, the best of each model first; those of which there is nothing are left out."""
    budget = result.sweep.budget
    size = f", {budget.parameters:,} weights each" if budget.parameters else ""
    found = [
        Section(
            title=f"Best of each model on {result.task} by validation {result.metric}{size}",
            columns=_columns(_best_rows(result)),
        )
    ]
    if rows := _importance_rows(result):
        found.append(Section(title="Importance of the settings", columns=_columns(rows)))
    if rows := _slice_rows(result):
        title = f"Validation {result.metric} of the finished trials, one setting at a time"
        found.append(Section(title=title, columns=_columns(rows)))
    return found


def _columns(rows: list[dict[str, str]]) -> list[Column]:
    return [
        Column(
            name=name,
            cells=[row[name] for row in rows],
            kind="text" if name in _WORDS else "number",
        )
        for name in rows[0]
    ]


def _best_rows(result: SweepResult) -> list[dict[str, str]]:
    rows = []
    for model in result.sweep.models:
        trials = of_model(result.trials, model)
        best = result.best.get(model)
        over = [trial for trial in trials if trial.status in SPENT]
        rows.append(
            {
                "Model": model,
                "Trials": str(len(over)),
                "Pruned": _number_of(trials, "pruned"),
                "Diverged": _number_of(trials, "diverged"),
                "Failed": _number_of(trials, "failed"),
                "Lost": _number_of(trials, "lost"),
                "Minutes": f"{sum(trial.seconds for trial in over) / 60:.1f}",
                "FLOPs": f"{sum(trial.flops for trial in over):.2e}",
                "Weights": f"{best.num_parameters:,}" if best and best.num_parameters else "",
                "Valid": number(best.value) if best else "",
                "Trial": str(best.number) if best else "",
                "Settings": settings(best.chosen) if best else "",
            }
        )
    return _without_empty(rows, ("Pruned", "Diverged", "Failed", "Lost", "Weights"))


def _number_of(trials: list[TrialResult], status: str) -> str:
    return str(sum(trial.status == status for trial in trials) or "")


def _without_empty(rows: list[dict[str, str]], names: tuple[str, ...]) -> list[dict[str, str]]:
    empty = {name for name in names if not any(row[name] for row in rows)}
    return [{name: cell for name, cell in row.items() if name not in empty} for row in rows]


def _importance_rows(result: SweepResult) -> list[dict[str, str]]:
    return [
        {
            "Model": model,
            "Setting": key,
            "Share": f"{share:.2f}",
            "Trials": str(found.num_trials),
            "Method": METHODS[found.method],
        }
        for model, found in result.importance.items()
        for key, share in found.shares.items()
    ]


def _slice_rows(result: SweepResult) -> list[dict[str, str]]:
    found: list[Slice] = []
    for model in result.sweep.models:
        found += slices(result.sweep, result.trials, model, direction=result.direction)
    return [
        {
            "Model": part.model,
            "Setting": part.key,
            "Values": part.values,
            "Trials": str(part.num_trials),
            "Best": number(part.best),
            "Median": number(part.median),
        }
        for part in found
    ]


def legend(result: SweepResult) -> list[str]:
    """How to read the tables."""
    seeds = len(result.sweep.seeds)
    over_seeds = f", the mean over {seeds} seeds" if seeds > 1 else ""
    lines = [f"Valid: validation {result.metric} of the best trial{over_seeds}. Test is not read."]
    lines.append("Trials: finished, pruned and diverged ones; only these are budget.")
    if result.repeats:
        runs = ", ".join(f"{model} {len(ids)}" for model, ids in result.repeats.items())
        lines.append(
            "Runs of the best settings with fresh seeds, which read the test split and stand in "
            f"`bench table {result.task}`: {runs}."
        )
    methods = {found.method for found in result.importance.values()}
    if methods:
        share = "Share: of the variance over finished trials that a setting explains by itself"
        few = "; of few trials a hint, not a finding."
        lines.append(share + few)
    conditions = {key for dimension in result.sweep.space.values() for key in dimension.when}
    if "fanova" in methods and conditions - {MODEL}:
        lines.append("fANOVA leaves out settings that some of a model's trials do not have.")
    return lines


def number(value: float) -> str:
    """A metric's value with at least four significant digits: 104.87, 1.4321."""
    return f"{value:.2f}" if abs(value) >= 100 else f"{value:.4g}"


def settings(chosen: dict[str, Any]) -> str:
    """Chosen settings in one line: `optim.lr=0.003, ...`."""
    return ", ".join(f"{key}={written(value)}" for key, value in chosen.items())
