"""Learning curves: validation over epochs or steps, a line a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.core.record import Record
from bench.report.content import TaskContent, plural, split_label
from bench.report.figures import (
    Control,
    Figure,
    Spec,
    Values,
    axis,
    color_of,
    colors,
    range_in_words,
    rounded,
    spec_of,
    tooltip,
)

MOST_SHOWN = 6
"""Configurations that are drawn before anybody has chosen."""
_CONTROLS = (
    Control(name="x", label="Over", kind="choice", options={"epoch": "epochs", "step": "steps"}),
    Control(
        name="y",
        label="Metric on",
        kind="choice",
        options={"valid": "validation", "train": "training", "both": "both"},
    ),
    Control(name="logx", label="log x", kind="check"),
    Control(name="logy", label="log y", kind="check", checked=True),
    Control(name="smooth", label="Smoothing", kind="range"),
)


def curve_figures(content: TaskContent) -> list[Figure]:
    """A figure for each metric that runs of the task have curves of."""
    drawn = [record for record in content.records if record.curve]
    metrics = dict.fromkeys(record.metric for record in drawn)
    return [
        _figure(content, metric, [r for r in drawn if r.metric == metric]) for metric in metrics
    ]


def _figure(content: TaskContent, metric: str, records: list[Record]) -> Figure:
    groups = _groups(content, records)
    shown = [group for group in groups if group["on"]]
    values = [value for group in shown for value in _values(group)]
    bounds = sorted({record.bound for record in records if record.bound is not None})
    ends = [run["valid"][-1] for group in shown for run in group["runs"]]
    names = ", ".join(group["name"] for group in shown)
    return Figure(
        name=f"{content.task}/curves/{metric}",
        title=f"Validation {metric} while learning",
        alt=(
            f"Learning curves of {plural(len(values and ends), 'run')} on validation: {names}. "
            f"They end {range_in_words(ends)}."
        ),
        spec=_spec(values, metric, bounds),
        controls=_CONTROLS,
        data={"groups": groups, "metric": metric},
        wide=True,
    )


def _groups(content: TaskContent, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Runs of one configuration, those that are drawn at first marked."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        label = content.label_of(record)
        name, settings = split_label(label)
        group = found.setdefault(
            label,
            {
                "name": name,
                "settings": settings,
                "model": record.model,
                "color": color_of(record.model),
                "runs": [],
                "on": False,
            },
        )
        group["runs"].append(_run(record))
    order = {row.label: place for place, row in enumerate(content.table.rows)}
    groups = [found[label] for label in sorted(found, key=lambda label: order.get(label, 0))]
    for group in _first_shown(groups, content.card.metric.direction == "min"):
        group["on"] = True
    return groups


def _first_shown(groups: list[dict[str, Any]], lower_is_better: bool) -> list[dict[str, Any]]:
    """The best configuration of each model on validation."""
    sign = 1 if lower_is_better else -1

    def end(group: dict[str, Any]) -> float:
        return min(sign * float(run["valid"][-1]) for run in group["runs"])

    best: dict[str, dict[str, Any]] = {}
    for group in sorted(groups, key=end):
        best.setdefault(group["model"], group)
    return list(best.values())[:MOST_SHOWN]


def _run(record: Record) -> dict[str, Any]:
    curve = record.curve
    return {
        "id": record.id,
        "seed": record.seed,
        "epoch": [point.epoch for point in curve],
        "step": [point.step for point in curve],
        "valid": [rounded(point.valid) for point in curve],
        "train": [rounded(point.train) for point in curve],
    }


def _values(group: dict[str, Any]) -> Values:
    """One point a validation, as the script makes them of what is chosen."""
    return [
        {
            "run": run["id"],
            "seed": run["seed"],
            "name": group["name"],
            "model": group["model"],
            "part": "validation",
            "x": x,
            "y": y,
        }
        for run in group["runs"]
        for x, y in zip(run["epoch"], run["valid"], strict=True)
    ]


def _spec(values: Values, metric: str, bounds: Sequence[float]) -> Spec:
    over = {"param": "near", "empty": True}
    encoding = {
        "x": axis("x", "epochs"),
        "y": axis("y", metric, log=True),
        "detail": [{"field": "run"}, {"field": "part"}],
        "color": colors([value["model"] for value in values]),
    }
    line = {
        "mark": {"type": "line", "strokeWidth": 1.7, "interpolate": "linear"},
        "encoding": {
            **encoding,
            "strokeDash": {
                "field": "part",
                "scale": {"domain": ["validation", "training"], "range": [[1, 0], [3, 3]]},
                "legend": None,
            },
            "opacity": {"condition": {**over, "value": 1}, "value": 0.25},
        },
    }
    point = {
        "mark": {"type": "point", "filled": True, "size": 36},
        "params": [
            {
                "name": "near",
                "select": {
                    "type": "point",
                    "fields": ["run"],
                    "on": "pointerover",
                    "clear": "pointerout",
                    "nearest": True,
                },
            }
        ],
        "encoding": {
            **encoding,
            "opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0},
            "tooltip": tooltip(
                ("name", "model"), ("seed", "seed"), ("part", "on"), ("x", "at"), ("y", metric)
            ),
        },
    }
    bound = {
        "data": {"values": [{"bound": value} for value in bounds]},
        "mark": {"type": "rule", "strokeDash": [2, 4]},
        "encoding": {"y": {"field": "bound", "type": "quantitative"}},
    }
    return spec_of(values, [line, point, *([bound] if bounds else [])], height=340)
