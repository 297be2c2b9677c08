"""A sweep on a page: the best so far, what mattered, each setting by itself, and the tables."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.content import plural
from bench.report.figures import (
    Control,
    Figure,
    Spec,
    Values,
    axis,
    colors,
    range_in_words,
    rounded,
    spec_of,
    tooltip,
)
from bench.sweep.dimension import Choice, Dimension
from bench.sweep.importance import METHODS, format_value
from bench.sweep.outcome import SweepResult
from bench.sweep.report import legend, sections
from bench.sweep.space import model_space
from bench.table.markup import Section

_SPENT = {"trials": "trials", "minutes": "training minutes", "flops": "training FLOPs"}


@dataclass(frozen=True, kw_only=True)
class SweepPart:
    """What a page shows of a sweep."""

    result: SweepResult
    figures: list[Figure]
    slices: list[Figure]
    tables: list[Section]
    notes: list[str]


def sweep_part(result: SweepResult) -> SweepPart:
    """Figures and tables of a sweep."""
    figures = (best_so_far_figure(result), importance_figure(result))
    return SweepPart(
        result=result,
        figures=[figure for figure in figures if figure is not None],
        slices=slice_figures(result),
        tables=sections(result),
        notes=legend(result),
    )


def best_so_far_figure(result: SweepResult) -> Figure | None:
    """The best validation metric against what was spent."""
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
        "x": axis("trials", _SPENT["trials"]),
        "y": axis("y", f"best validation {result.metric}"),
        "color": colors(list(result.curves)),
    }
    hint = {"tooltip": tooltip(("model", "model"), *_SPENT.items(), ("y", result.metric))}
    layers = [
        {"mark": {"type": "line", "interpolate": "step-after"}, "encoding": encoding},
        {
            "mark": {"type": "point", "filled": True, "size": 30, "opacity": 1},
            "encoding": {**encoding, **hint},
        },
    ]
    return Figure(
        name=f"{result.task}/sweeps/{result.name}/best",
        title="Best so far",
        alt=f"Best validation {result.metric} over the sweep, in the end: {best}.",
        spec=spec_of(values, layers, width=520, height=260),
        controls=(Control(name="field", label="Over", kind="choice", options=_SPENT),),
    )


def importance_figure(result: SweepResult) -> Figure | None:
    """The share of the variance that each setting explains."""
    values: Values = [
        {"model": model, "key": key, "share": share}
        for model, found in result.importance.items()
        for key, share in found.shares.items()
    ]
    if not values:
        return None
    method = METHODS[next(iter(result.importance.values())).method]
    most = max(values, key=lambda value: float(value["share"]))
    keys = list(dict.fromkeys(value["key"] for value in values))
    bar = {
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "x": {"field": "share", "type": "quantitative", "title": f"share, {method}"},
            "y": {"field": "key", "type": "nominal", "sort": keys, "title": None},
            "yOffset": {"field": "model"},
            "color": colors(list(result.importance)),
            "tooltip": tooltip(("model", "model"), ("key", "setting"), ("share", "share")),
        },
    }
    height = 30 + len(keys) * (12 + 10 * len(result.importance))
    return Figure(
        name=f"{result.task}/sweeps/{result.name}/importance",
        title="Importance of the settings",
        alt=f"Shares of the variance; the largest is {most['key']} of {most['model']}, "
        f"{most['share']:.2f}.",
        spec=spec_of(values, [bar], width=520, height=height),
    )


def slice_figures(result: SweepResult) -> list[Figure]:
    """Each setting by itself: the value of every finished trial over it."""
    return [
        figure
        for key, dimension in result.sweep.space.items()
        if (figure := _slice_figure(result, key, dimension)) is not None
    ]


def _slice_figure(result: SweepResult, key: str, dimension: Dimension) -> Figure | None:
    sweep = result.sweep
    models = [model for model in sweep.models if key in model_space(sweep.space, model)]
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
    ys = [float(value["y"]) for value in values]
    point = {
        "mark": {"type": "point", "filled": True, "size": 55, "opacity": 0.85},
        "encoding": {
            "x": _place(key, dimension),
            "y": axis("y", f"validation {result.metric}"),
            "color": colors(models),
            "tooltip": tooltip(
                ("model", "model"), ("trial", "trial"), ("x", key), ("y", result.metric)
            ),
        },
    }
    return Figure(
        name=f"{result.task}/sweeps/{result.name}/slice/{key}",
        title=key,
        alt=f"Validation {result.metric} of {plural(len(values), 'trial')} over {key}, "
        f"{range_in_words(ys)}.",
        spec=spec_of(values, [point], width=330, height=220),
    )


def _place(key: str, dimension: Dimension) -> Spec:
    if isinstance(dimension, Choice):
        order = [format_value(choice) for choice in dimension.choices]
        return {"field": "x", "type": "nominal", "sort": order, "title": key}
    return axis("x", key, log=dimension.log)
