"""The result of a sweep as pictures, by matplotlib: the extra `plot`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.core.figures import log_scale, new_figure, save_figure
from bench.sweep.dimension import Choice, Dimension, same
from bench.sweep.importance import METHODS
from bench.sweep.outcome import CurvePoint, SweepResult
from bench.sweep.slices import written
from bench.sweep.space import space_of
from bench.sweep.trial import TrialResult, of_model

FLOP_UNITS = {"GFLOP": 1e9, "TFLOP": 1e12, "PFLOP": 1e15, "EFLOP": 1e18}


def draw_sweep(result: SweepResult, folder: Path) -> list[Path]:
    """Write `<name>-best-so-far.png`, `-importance.png` and `-slices.png` to `folder`.

    Pictures of which there is nothing to show are left out. Raises BenchError without matplotlib.
    """
    makers = {
        "best-so-far": (best_so_far_picture, any(result.curves.values())),
        "importance": (importance_picture, bool(result.importance)),
        "slices": (slices_picture, bool(result.best)),
    }
    paths = []
    for name, (make, has_content) in makers.items():
        if has_content:
            paths.append(folder / f"{result.name}-{name}.png")
            save_figure(make(result), paths[-1])
    return paths


def best_so_far_picture(result: SweepResult) -> Any:
    """The best validation metric against each kind of spent budget, one line a model."""
    figure, [panels] = new_figure(num_columns=3, width=10.5, height=3.4)
    for axes, (label, spent) in zip(panels, _budgets(result).items(), strict=True):
        for model, points in result.curves.items():
            if not points:
                continue
            x, y = [spent(point) for point in points], [point.value for point in points]
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
    """What may be spent, under the axis' label; FLOPs in the largest unit that is reached."""
    most = max(point.flops for points in result.curves.values() for point in points)
    reached = [unit for unit, flops in FLOP_UNITS.items() if flops <= most]
    unit = reached[-1] if reached else "GFLOP"
    return {
        "trials": lambda point: point.trials,
        "training minutes": lambda point: point.seconds / 60,
        f"training {unit}": lambda point: point.flops / FLOP_UNITS[unit],
    }


def importance_picture(result: SweepResult) -> Any:
    """Share of the variance that each setting explains, one bar a model."""
    keys = [key for key in result.sweep.space if any(key in f.shares for f in _found(result))]
    models = list(result.importance)
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
    counts = sorted({found.num_trials for found in _found(result)})
    trials = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    method = METHODS[_found(result)[0].method]
    axes.set_xlabel(f"share of the variance ({method}, {trials} trials a model)")
    axes.legend(frameon=False)
    _title(result, axes)
    return figure


def slices_picture(result: SweepResult) -> Any:
    """Each trial's value over each setting, one row a model."""
    keys = [key for key in result.sweep.space if any(key in t.chosen for t in result.trials)]
    models = list(result.best)
    figure, grid = new_figure(
        num_rows=len(models),
        num_columns=len(keys),
        width=1.0 + 2.3 * len(keys),
        height=0.6 + 2.1 * len(models),
    )
    for model, row in zip(models, grid, strict=True):
        mine = space_of(result.sweep.space, model)
        for key, axes in zip(keys, row, strict=True):
            if key in mine:
                _draw_slice(axes, mine[key], key, of_model(result.trials, model), result)
            else:
                axes.set_axis_off()
        row[0].set_ylabel(f"{model}\nvalidation {result.metric}")
    figure.supxlabel("black: the best; at the upper edge x: diverged, |: pruned", fontsize=8)
    _title(result, grid[0][0])
    return figure


def _draw_slice(
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
        if trial.status in ("pruned", "diverged"):  # they have no value: at the upper edge
            sign = "x" if trial.status == "diverged" else "|"
            edge = axes.get_xaxis_transform()
            axes.plot([place[trial.number]], [0.98], sign, color="0.5", transform=edge)
    if isinstance(dimension, Choice):
        axes.set_xticks(range(len(dimension.choices)), [written(v) for v in dimension.choices])
        axes.set_xlim(-0.5, len(dimension.choices) - 0.5)
    elif dimension.log:
        axes.set_xscale("log")
        ticks = _round_numbers(float(dimension.low), float(dimension.high))
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_xlabel(key, fontsize=8)
    axes.tick_params(labelsize=7)


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two numbers; of many decades the powers only.

    The two numbers themselves where there is none.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if len(powers) <= 3 else (1,)
    numbers = [float(f"{digit}e{power}") for power in powers for digit in digits]
    return [number for number in numbers if low <= number <= high] or [low, high]


def _place(dimension: Dimension, value: Any) -> float:
    if isinstance(dimension, Choice):
        return next(i for i, choice in enumerate(dimension.choices) if same(choice, value))
    return float(value)


def _found(result: SweepResult) -> list[Any]:
    return list(result.importance.values())


def _color(result: SweepResult, model: str) -> str:
    return f"C{result.sweep.models.index(model)}"


def _title(result: SweepResult, axes: Any) -> None:
    axes.set_title(f"sweep {result.name}", fontsize=10, loc="left")
