"""Figures of a task's table: published beside measured, and the metric against what it took."""

from __future__ import annotations

from collections.abc import Callable

from bench.report.content import TaskContent, plural, short, split_label
from bench.report.figures import (
    Figure,
    Spec,
    Values,
    axis,
    colors,
    is_network,
    rounded,
    spec_of,
    tooltip,
)
from bench.report.tables import verdict_of
from bench.table import Row

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


def beside_figure(content: TaskContent) -> Figure | None:
    """Published and measured values, a line a row; None where nothing has both."""
    block = next(iter(content.table.blocks), [])
    rows = [row for row in block if row.published is not None and row.measured is not None]
    if not rows:
        return None
    return Figure(
        name=f"{content.task}/beside",
        title=f"{content.table.split.capitalize()} {rows[0].metric}, published and measured",
        alt=_beside_in_words(rows),
        spec=_beside_spec([_beside_value(row) for row in rows], rows[0].metric),
        wide=True,
    )


def _beside_in_words(rows: list[Row]) -> str:
    parts = [
        f"{split_label(row.label)[0]}: published {short(row.published)}, measured "
        f"{short(row.measured.mean)}"
        for row in rows
        if row.measured
    ]
    return "; ".join(parts) + "."


def _beside_value(row: Row) -> dict[str, object]:
    assert row.measured is not None
    spread = row.measured.std or 0.0
    return {
        "name": split_label(row.label)[0],
        "published": row.published,
        "measured": rounded(row.measured.mean),
        "low": rounded(row.measured.mean - spread),
        "high": rounded(row.measured.mean + spread),
        "verdict": row.verdict,
        "color": _COLORS.get(verdict_of(row), "var(--quiet)"),
    }


def _beside_spec(values: Values, metric: str) -> Spec:
    names = [value["name"] for value in values]
    y = {
        "field": "name",
        "type": "nominal",
        "sort": list(dict.fromkeys(names)),
        "title": None,
        "axis": {"labelLimit": 230, "labelColor": "var(--ink)", "grid": False},
    }
    hint = tooltip(
        ("name", "row"),
        ("published", "published"),
        ("measured", "measured"),
        ("verdict", "verdict"),
    )
    color = {"field": "color", "type": "nominal", "scale": None}
    x = axis("published", metric)
    link = {
        "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.45},
        "encoding": {"x": x, "x2": {"field": "measured"}, "y": y, "color": color},
    }
    printed = {
        "mark": {"type": "point", "size": 64, "strokeWidth": 1.6, "fill": "var(--paper)"},
        "encoding": {"x": x, "y": y, "stroke": {"value": "var(--quiet)"}, "tooltip": hint},
    }
    spread = {
        "mark": {"type": "rule", "strokeWidth": 5, "opacity": 0.35, "strokeCap": "round"},
        "encoding": {
            "x": {**x, "field": "low"},
            "x2": {"field": "high"},
            "y": y,
            "color": color,
        },
    }
    found = {
        "mark": {"type": "point", "filled": True, "size": 64, "opacity": 1},
        "encoding": {"x": {**x, "field": "measured"}, "y": y, "color": color, "tooltip": hint},
    }
    height = _ROW_HEIGHT * len(set(names))
    return spec_of(values, [link, printed, spread, found], height=height)


def cost_figures(content: TaskContent) -> list[Figure]:
    """The metric against parameters, FLOPs and seconds, with the front that nothing beats."""
    block = next((b for b in content.table.blocks if any(row.measured for row in b)), [])
    rows = [row for row in block if row.measured is not None]
    unit = rows[0].unit if rows else "token"
    kinds: dict[str, tuple[str, Callable[[Row], float | None]]] = {
        "parameters": ("parameters", lambda row: row.num_parameters),
        "flops": (f"FLOPs per {unit}", lambda row: row.flops_per_token),
        "seconds": ("seconds of training and validation", lambda row: row.seconds),
    }
    figures = (_cost_figure(content, rows, key, *kind) for key, kind in kinds.items())
    return [figure for figure in figures if figure is not None]


def _cost_figure(
    content: TaskContent,
    rows: list[Row],
    key: str,
    words: str,
    read: Callable[[Row], float | None],
) -> Figure | None:
    values = [value for row in rows if (value := _cost_value(row, read(row)))]
    if len({value["x"] for value in values}) < 2:
        return None
    is_lower = content.card.metric.direction == "min"
    front = _front(values, is_lower=is_lower)
    names = ", ".join(f"{value['name']} ({short(value['y'])})" for value in front)
    metric = rows[0].metric
    return Figure(
        name=f"{content.task}/cost/{key}",
        title=words[:1].upper() + words[1:],
        alt=(
            f"{metric.capitalize()} of {plural(len(values), 'configuration')} against {words}. "
            f"Best for what it takes: {names}."
        ),
        spec=_cost_spec(values, front, metric, words),
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


def _front(values: Values, *, is_lower: bool) -> Values:
    """The values that are better than all that cost less."""
    sign = 1 if is_lower else -1
    found: Values = []
    for value in sorted(values, key=lambda value: (value["x"], sign * value["y"])):
        if not found or sign * value["y"] < sign * found[-1]["y"]:
            found.append(value)
    return found


def _cost_spec(values: Values, front: Values, metric: str, words: str) -> Spec:
    x, y = axis("x", words, log=True), axis("y", metric)
    line = {
        "data": {"values": front},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.2, "opacity": 0.7},
        "encoding": {"x": x, "y": y, "color": {"value": "var(--quiet)"}},
    }
    point = {
        "mark": {"type": "point", "filled": True, "size": 60, "opacity": 0.9},
        "encoding": {
            "x": x,
            "y": y,
            "color": colors([str(value["model"]) for value in values]),
            "shape": _SHAPES,
            "tooltip": tooltip(
                ("name", "model"), ("settings", "settings"), ("x", words), ("y", metric)
            ),
        },
    }
    return spec_of(values, [line, point], width=330, height=240)
