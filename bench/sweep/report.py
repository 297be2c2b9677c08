"""Tables and figures of a sweep's result; figures need matplotlib, the extra `plot`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.core.figures import log_scale, new_figure, save_figure
from bench.sweep.dimension import Choice, Dimension, same
from bench.sweep.importance import METHODS, format_value, slices
from bench.sweep.outcome import CurvePoint, SweepResult
from bench.sweep.space import MODEL, model_space
from bench.sweep.trial import COUNTED, TrialResult, trials_of
from bench.table.column import Column
from bench.table.markup import Section, to_markdown

_TEXT_COLUMNS = frozenset(("Model", "Setting", "Settings", "Values", "Method"))


def report(result: SweepResult) -> str:
    """Markdown of the best trial of each model, importance and slices, with their basis."""
    return f"# Sweep {result.name}\n\n" + to_markdown(sections(result), legend(result))


def sections(result: SweepResult) -> list[Section]:
    """Tables, the best of each model first; empty ones are left out."""
    budget = result.sweep.budget
    size = f", {budget.parameters:,} weights each" if budget.parameters else ""
    tables = {
        f"Best of each model on {result.task} by validation {result.metric}{size}": _best_rows,
        "Importance of the settings": _importance_rows,
        f"Validation {result.metric} of the finished trials, one setting at a time": _slice_rows,
    }
    return [
        Section(title=title, columns=_columns(rows))
        for title, make_rows in tables.items()
        if (rows := make_rows(result))
    ]


def _columns(rows: list[dict[str, str]]) -> list[Column]:
    return [
        Column(
            name=name,
            cells=[row[name] for row in rows],
            kind="text" if name in _TEXT_COLUMNS else "number",
        )
        for name in rows[0]
    ]


def _best_rows(result: SweepResult) -> list[dict[str, str]]:
    rows = []
    for model in result.sweep.models:
        trials, best = trials_of(result.trials, model), result.best.get(model)
        counted = [trial for trial in trials if trial.status in COUNTED]
        counts = Counter(trial.status for trial in trials)
        rows.append(
            {
                "Model": model,
                "Trials": str(len(counted)),
                "Pruned": str(counts["pruned"] or ""),
                "Diverged": str(counts["diverged"] or ""),
                "Failed": str(counts["failed"] or ""),
                "Lost": str(counts["lost"] or ""),
                "Minutes": f"{sum(trial.seconds for trial in counted) / 60:.1f}",
                "FLOPs": f"{sum(trial.flops for trial in counted):.2e}",
                "Weights": f"{best.num_parameters:,}" if best and best.num_parameters else "",
                "Valid": format_metric(best.value) if best else "",
                "Trial": str(best.number) if best else "",
                "Settings": format_settings(best.chosen) if best else "",
            }
        )
    optional = ("Pruned", "Diverged", "Failed", "Lost", "Weights")
    empty = {name for name in optional if not any(row[name] for row in rows)}
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
    return [
        {
            "Model": model,
            "Setting": part.key,
            "Values": part.values,
            "Trials": str(part.num_trials),
            "Best": format_metric(part.best),
            "Median": format_metric(part.median),
        }
        for model in result.sweep.models
        for part in slices(result.sweep, result.trials, model, direction=result.direction)
    ]


def legend(result: SweepResult) -> list[str]:
    """Notes that explain the tables."""
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
        lines.append(
            "Share: of the variance over finished trials that a setting explains by itself; of few "
            "trials a hint, not a finding."
        )
    conditions = {key for dimension in result.sweep.space.values() for key in dimension.when}
    if "fanova" in methods and conditions - {MODEL}:
        lines.append("fANOVA leaves out settings that some of a model's trials do not have.")
    return lines


def format_metric(value: float) -> str:
    """Text of a metric's value with at least four significant digits: 104.87, 1.432."""
    return f"{value:.2f}" if abs(value) >= 100 else f"{value:.4g}"


def format_settings(chosen: dict[str, Any]) -> str:
    """Text of chosen settings in one line: `optim.lr=0.003, ...`."""
    return ", ".join(f"{key}={format_value(value)}" for key, value in chosen.items())


FLOP_UNITS = {"GFLOP": 1e9, "TFLOP": 1e12, "PFLOP": 1e15, "EFLOP": 1e18}


def draw_sweep(result: SweepResult, folder: Path) -> list[Path]:
    """Write `<name>-best-so-far.png`, `-importance.png` and `-slices.png` to `folder`.

    Empty figures are left out. Raises BenchError without matplotlib.
    """
    plots = {
        "best-so-far": (plot_best_so_far, any(result.curves.values())),
        "importance": (plot_importance, bool(result.importance)),
        "slices": (plot_slices, bool(result.best)),
    }
    paths = []
    for name, (plot, has_content) in plots.items():
        if has_content:
            paths.append(folder / f"{result.name}-{name}.png")
            save_figure(plot(result), paths[-1])
    return paths


def plot_best_so_far(result: SweepResult) -> Any:
    """Best validation metric against each kind of budget, one line per model."""
    figure, [panels] = new_figure(num_columns=3, width=10.5, height=3.4)
    for axes, (label, cost) in zip(panels, _budgets(result).items(), strict=True):
        for model, points in result.curves.items():
            if not points:
                continue
            x, y = [cost(point) for point in points], [point.value for point in points]
            axes.step(x, y, where="post", label=model, color=_color(result, model), linewidth=1.6)
            axes.plot(x[-1:], y[-1:], "o", color=_color(result, model), markersize=4)
        axes.set_xlabel(label)
    panels[0].xaxis.get_major_locator().set_params(integer=True)
    values = [point.value for points in result.curves.values() for point in points]
    if min(values) > 0 and max(values) > 3 * min(values):
        for axes in panels:
            log_scale(axes.yaxis, axes.set_yscale)
    panels[0].set_ylabel(f"best validation {result.metric}")
    panels[-1].legend(frameon=False)
    _title(result, panels[0])
    return figure


def _budgets(result: SweepResult) -> dict[str, Callable[[CurvePoint], float]]:
    """Axis label -> cost of a point; FLOPs are in the largest unit that is reached."""
    most = max(point.flops for points in result.curves.values() for point in points)
    reached = [unit for unit, flops in FLOP_UNITS.items() if flops <= most]
    unit = reached[-1] if reached else "GFLOP"
    return {
        "trials": lambda point: point.trials,
        "training minutes": lambda point: point.seconds / 60,
        f"training {unit}": lambda point: point.flops / FLOP_UNITS[unit],
    }


def plot_importance(result: SweepResult) -> Any:
    """Share of the variance that each setting explains, one bar per model."""
    models, found = list(result.importance), list(result.importance.values())
    keys = [key for key in result.sweep.space if any(key in each.shares for each in found)]
    height = 1.0 + 0.18 * len(keys) * (len(models) + 1)
    figure, [[axes]] = new_figure(height=height)
    for place, model in enumerate(models):
        shares = [result.importance[model].shares.get(key, 0.0) for key in keys]
        rows = [row + (place + 0.5) / (len(models) + 1) for row in range(len(keys))]
        axes.barh(
            rows, shares, height=1 / (len(models) + 1), color=_color(result, model), label=model
        )
    axes.set_yticks([row + 0.5 * len(models) / (len(models) + 1) for row in range(len(keys))], keys)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    counts = sorted({each.num_trials for each in found})
    trials = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    method = METHODS[found[0].method]
    axes.set_xlabel(f"share of the variance ({method}, {trials} trials a model)")
    axes.legend(frameon=False)
    _title(result, axes)
    return figure


def plot_slices(result: SweepResult) -> Any:
    """Value of each trial over each setting, one row per model."""
    keys = [key for key in result.sweep.space if any(key in t.chosen for t in result.trials)]
    models = list(result.best)
    figure, grid = new_figure(
        num_rows=len(models),
        num_columns=len(keys),
        width=1.0 + 2.3 * len(keys),
        height=0.6 + 2.1 * len(models),
    )
    for model, row in zip(models, grid, strict=True):
        space = model_space(result.sweep.space, model)
        for key, axes in zip(keys, row, strict=True):
            if key in space:
                _plot_slice(axes, space[key], key, trials_of(result.trials, model), result)
            else:
                axes.set_axis_off()
        row[0].set_ylabel(f"{model}\nvalidation {result.metric}")
    figure.supxlabel("black: the best; at the upper edge x: diverged, |: pruned", fontsize=8)
    _title(result, grid[0][0])
    return figure


def _plot_slice(
    axes: Any, dimension: Dimension, key: str, trials: list[TrialResult], result: SweepResult
) -> None:
    here = [trial for trial in trials if key in trial.chosen]
    finished = [trial for trial in here if trial.status == "finished"]
    place = {trial.number: _place(dimension, trial.chosen[key]) for trial in here}
    for trial in finished:
        is_best = trial.number == result.best[trial.model].number
        face, size = ("black", 7.0) if is_best else (_color(result, trial.model), 4.5)
        axes.plot([place[trial.number]], [trial.value], "o", color=face, markersize=size)
    for trial in here:
        if trial.status in ("pruned", "diverged"):  # without a value
            sign = "x" if trial.status == "diverged" else "|"
            edge = axes.get_xaxis_transform()
            axes.plot([place[trial.number]], [0.98], sign, color="0.5", transform=edge)
    if isinstance(dimension, Choice):
        axes.set_xticks(range(len(dimension.choices)), [format_value(v) for v in dimension.choices])
        axes.set_xlim(-0.5, len(dimension.choices) - 0.5)
    elif dimension.log:
        axes.set_xscale("log")
        ticks = _log_ticks(float(dimension.low), float(dimension.high))
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_xlabel(key, fontsize=8)
    axes.tick_params(labelsize=7)


def _log_ticks(low: float, high: float) -> list[float]:
    """Ticks at 1, 2 and 5 times powers of ten, over many decades at the powers alone.

    The ends themselves if there is none between them.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if len(powers) <= 3 else (1,)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
    return [tick for tick in ticks if low <= tick <= high] or [low, high]


def _place(dimension: Dimension, value: Any) -> float:
    if isinstance(dimension, Choice):
        return next(i for i, choice in enumerate(dimension.choices) if same(choice, value))
    return float(value)


def _color(result: SweepResult, model: str) -> str:
    return f"C{result.sweep.models.index(model)}"


def _title(result: SweepResult, axes: Any) -> None:
    axes.set_title(f"sweep {result.name}", fontsize=10, loc="left")
