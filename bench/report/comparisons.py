"""Figures of a task's table: published and measured values, and the metric against costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from bench.report.content import TaskContent, format_number, split_label
from bench.report.figures import (
    Figure,
    Spec,
    Values,
    axis,
    color_scale,
    is_network,
    layer,
    layered_spec,
    rounded,
    tooltip,
)
from bench.report.tables import base_verdict
from bench.table import Row
from bench.table.legend import plural

_COLORS = {
    "reproduced": "var(--same)",
    "better": "var(--good)",
    "worse": "var(--bad)",
    "not comparable": "var(--quiet)",
}
_ROW_HEIGHT = 22
_SHAPES = {
    "field": "kind",
    "scale": {"domain": ["network", "baseline"], "range": ["circle", "diamond"]},
    "legend": None,
}


def published_figure(content: TaskContent) -> Figure | None:
    """Published and measured values, one line per row; None if no row has both."""
    block = next(iter(content.table.blocks), [])
    rows = [row for row in block if row.published is not None and row.measured is not None]
    if not rows:
        return None
    parts = [
        f"{split_label(row.label)[0]}: published {format_number(row.published)}, measured "
        f"{format_number(row.measured.mean)}"
        for row in rows
        if row.measured
    ]
    return Figure(
        name=f"{content.task}/beside",
        title=f"{content.table.split.capitalize()} {rows[0].metric}, published and measured",
        alt=f"{'; '.join(parts)}.",
        spec=_published_spec([_published_value(row) for row in rows], rows[0].metric),
        wide=True,
    )


def _published_value(row: Row) -> dict[str, object]:
    assert row.measured is not None
    spread = row.measured.std or 0.0
    return {
        "name": split_label(row.label)[0],
        "published": row.published,
        "measured": rounded(row.measured.mean),
        "low": rounded(row.measured.mean - spread),
        "high": rounded(row.measured.mean + spread),
        "verdict": row.verdict,
        "color": _COLORS.get(base_verdict(row), "var(--quiet)"),
    }


def _published_spec(values: Values, metric: str) -> Spec:
    names = list(dict.fromkeys(value["name"] for value in values))
    y = {
        "field": "name",
        "type": "nominal",
        "sort": names,
        "title": None,
        "axis": {"labelLimit": 230, "labelColor": "var(--ink)", "grid": False},
    }
    hint = tooltip(name="row", published="published", measured="measured", verdict="verdict")
    color = {"field": "color", "type": "nominal", "scale": None}
    x = axis("published", metric)
    low, measured = {**x, "field": "low"}, {**x, "field": "measured"}
    link = {"x": x, "x2": {"field": "measured"}, "y": y, "color": color}
    printed = {"x": x, "y": y, "stroke": {"value": "var(--quiet)"}, "tooltip": hint}
    spread = {"x": low, "x2": {"field": "high"}, "y": y, "color": color}
    mean = {"x": measured, "y": y, "color": color, "tooltip": hint}
    layers = [
        layer("rule", link, strokeWidth=2, opacity=0.45),
        layer("point", printed, size=64, strokeWidth=1.6, fill="var(--paper)"),
        layer("rule", spread, strokeWidth=5, opacity=0.35, strokeCap="round"),
        layer("point", mean, filled=True, size=64, opacity=1),
    ]
    return layered_spec(values, layers, height=_ROW_HEIGHT * len(names))


def cost_figures(content: TaskContent) -> list[Figure]:
    """Metric against parameters, FLOPs and seconds, with the Pareto front."""
    block = next((b for b in content.table.blocks if any(row.measured for row in b)), [])
    rows = [row for row in block if row.measured is not None]
    unit = rows[0].unit if rows else "token"
    costs: dict[str, tuple[str, Callable[[Row], float | None]]] = {
        "parameters": ("parameters", lambda row: row.num_parameters),
        "flops": (f"FLOPs per {unit}", lambda row: row.flops_per_token),
        "seconds": ("seconds of training and validation", lambda row: row.seconds),
    }
    figures = (_cost_figure(content, rows, key, *cost) for key, cost in costs.items())
    return [figure for figure in figures if figure is not None]


def _cost_figure(
    content: TaskContent,
    rows: list[Row],
    key: str,
    title: str,
    read: Callable[[Row], float | None],
) -> Figure | None:
    values = [value for row in rows if (value := _cost_value(row, read(row)))]
    if len({value["x"] for value in values}) < 2:
        return None
    front = _pareto_front(values, sign=1 if content.card.metric.direction == "min" else -1)
    names = ", ".join(f"{value['name']} ({format_number(value['y'])})" for value in front)
    metric = rows[0].metric
    return Figure(
        name=f"{content.task}/cost/{key}",
        title=title[:1].upper() + title[1:],
        alt=(
            f"{metric.capitalize()} of {plural(len(values), 'configuration')} against {title}. "
            f"Best for what it takes: {names}."
        ),
        spec=_cost_spec(values, front, metric, title),
    )


def _cost_value(row: Row, x: float | None) -> dict[str, object] | None:
    assert row.measured is not None
    if not x or x <= 0:
        return None
    name, settings = split_label(row.label)
    return {
        "name": name,
        "settings": settings,
        "model": row.model,
        "kind": "network" if is_network(row.model) else "baseline",
        "x": rounded(x),
        "y": rounded(row.measured.mean),
    }


def _pareto_front(values: Values, *, sign: Literal[1, -1]) -> Values:
    """Values better than all that cost less; `sign` is -1 if higher is better."""
    front: Values = []
    for value in sorted(values, key=lambda value: (value["x"], sign * value["y"])):
        if not front or sign * value["y"] < sign * front[-1]["y"]:
            front.append(value)
    return front


def _cost_spec(values: Values, front: Values, metric: str, title: str) -> Spec:
    x, y = axis("x", title, log=True), axis("y", metric)
    step = {"x": x, "y": y, "color": {"value": "var(--quiet)"}}
    line = layer("line", step, interpolate="step-after", strokeWidth=1.2, opacity=0.7)
    point = {
        "x": x,
        "y": y,
        "color": color_scale([str(value["model"]) for value in values]),
        "shape": _SHAPES,
        "tooltip": tooltip(name="model", settings="settings", x=title, y=metric),
    }
    layers = [
        {"data": {"values": front}, **line},
        layer("point", point, filled=True, size=60, opacity=0.9),
    ]
    return layered_spec(values, layers, width=330, height=240)
