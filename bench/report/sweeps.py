"""Figures and tables of a sweep: best so far, importance, and one setting at a time."""

from __future__ import annotations

from typing import Any

from bench.report.figures import (
    Control,
    Figure,
    Spec,
    Values,
    axis,
    color_scale,
    describe_range,
    layer,
    layered_spec,
    rounded,
    tooltip,
)
from bench.sweep.dimension import Choice, Dimension
from bench.sweep.importance import METHODS, format_value
from bench.sweep.outcome import SweepResult
from bench.sweep.report import legend, sections
from bench.sweep.space import model_space
from bench.table.legend import plural

_BUDGETS = {"trials": "trials", "minutes": "training minutes", "flops": "training FLOPs"}


def sweep_section(result: SweepResult) -> dict[str, Any]:
    """Build the figures and tables of a sweep."""
    figures = (_best_so_far(result), _importance(result))
    slices = (_slice(result, key, dimension) for key, dimension in result.sweep.space.items())
    return {
        "result": result,
        "figures": [figure for figure in figures if figure is not None],
        "slices": [figure for figure in slices if figure is not None],
        "tables": sections(result),
        "notes": legend(result),
    }


def _best_so_far(result: SweepResult) -> Figure | None:
    """Best validation metric against the budget spent."""
    values = [
        {
            "model": model,
            "trials": point.trials,
            "minutes": rounded(point.seconds / 60),
            "flops": rounded(point.flops),
            "y": rounded(point.value),
        }
        for model, points in result.curves.items()
        for point in points
    ]
    if not values:
        return None
    best = ", ".join(f"{model} {found.value:.4g}" for model, found in result.best.items())
    encoding = {
        "x": axis("trials", _BUDGETS["trials"]),
        "y": axis("y", f"best validation {result.metric}"),
        "color": color_scale(list(result.curves)),
    }
    hint = {"tooltip": tooltip(model="model", **_BUDGETS, y=result.metric)}
    layers = [
        layer("line", encoding, interpolate="step-after"),
        layer("point", {**encoding, **hint}, filled=True, size=30, opacity=1),
    ]
    return Figure(
        name=f"{result.task}/sweeps/{result.name}/best",
        title="Best so far",
        alt=f"Best validation {result.metric} over the sweep, in the end: {best}.",
        spec=layered_spec(values, layers, width=520, height=260),
        controls=(Control(name="field", label="Over", kind="choice", options=_BUDGETS),),
    )


def _importance(result: SweepResult) -> Figure | None:
    """Share of the variance explained by each setting."""
    values: Values = [
        {"model": model, "key": key, "share": share}
        for model, found in result.importance.items()
        for key, share in found.shares.items()
    ]
    if not values:
        return None
    method = METHODS[next(iter(result.importance.values())).method]
    largest = max(values, key=lambda value: float(value["share"]))
    keys = list(dict.fromkeys(value["key"] for value in values))
    encoding = {
        "x": {"field": "share", "type": "quantitative", "title": f"share, {method}"},
        "y": {"field": "key", "type": "nominal", "sort": keys, "title": None},
        "yOffset": {"field": "model"},
        "color": color_scale(list(result.importance)),
        "tooltip": tooltip(model="model", key="setting", share="share"),
    }
    height = 30 + len(keys) * (12 + 10 * len(result.importance))
    return Figure(
        name=f"{result.task}/sweeps/{result.name}/importance",
        title="Importance of the settings",
        alt=f"Shares of the variance; the largest is {largest['key']} of {largest['model']}, "
        f"{largest['share']:.2f}.",
        spec=layered_spec(
            values, [layer("bar", encoding, cornerRadiusEnd=2)], width=520, height=height
        ),
    )


def _slice(result: SweepResult, key: str, dimension: Dimension) -> Figure | None:
    """Value of every finished trial over one setting."""
    models = [
        model for model in result.sweep.models if key in model_space(result.sweep.space, model)
    ]
    values: Values = [
        {
            "model": trial.model,
            "trial": trial.number,
            "x": format_value(trial.chosen[key])
            if isinstance(dimension, Choice)
            else trial.chosen[key],
            "y": rounded(trial.value),
        }
        for trial in result.trials
        if trial.status == "finished" and trial.model in models and key in trial.chosen
    ]
    if not values:
        return None
    encoding = {
        "x": _setting_axis(key, dimension),
        "y": axis("y", f"validation {result.metric}"),
        "color": color_scale(models),
        "tooltip": tooltip(model="model", trial="trial", x=key, y=result.metric),
    }
    point = layer("point", encoding, filled=True, size=55, opacity=0.85)
    return Figure(
        name=f"{result.task}/sweeps/{result.name}/slice/{key}",
        title=key,
        alt=f"Validation {result.metric} of {plural(len(values), 'trial')} over {key}, "
        f"{describe_range([float(value['y']) for value in values])}.",
        spec=layered_spec(values, [point], width=330, height=220),
    )


def _setting_axis(key: str, dimension: Dimension) -> Spec:
    if isinstance(dimension, Choice):
        order = [format_value(choice) for choice in dimension.choices]
        return {"field": "x", "type": "nominal", "sort": order, "title": key}
    return axis("x", key, log=dimension.log)
