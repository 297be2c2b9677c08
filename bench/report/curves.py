"""Learning curves: validation over epochs or steps, one line per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.core.record import Record
from bench.report.content import TaskContent, split_label
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
    model_color,
    rounded,
    tooltip,
)
from bench.table.legend import plural

MAX_SHOWN = 6
"""Most configurations drawn before the reader chooses."""
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
    """One figure per metric that runs of the task have curves of."""
    by_metric: dict[str, list[Record]] = {}
    for record in content.records:
        if record.curve:
            by_metric.setdefault(record.metric, []).append(record)
    return [_figure(content, metric, records) for metric, records in by_metric.items()]


def _figure(content: TaskContent, metric: str, records: list[Record]) -> Figure:
    groups = _groups(content, records)
    shown = [group for group in groups if group["on"]]
    ends = [run["valid"][-1] for group in shown for run in group["runs"]]
    names = ", ".join(group["name"] for group in shown)
    bounds = sorted({record.bound for record in records if record.bound is not None})
    return Figure(
        name=f"{content.task}/curves/{metric}",
        title=f"Validation {metric} while learning",
        alt=(
            f"Learning curves of {plural(len(ends), 'run')} on validation: {names}. "
            f"They end {describe_range(ends)}."
        ),
        spec=_spec([value for group in shown for value in _values(group)], metric, bounds),
        controls=_CONTROLS,
        data={"groups": groups, "metric": metric},
        wide=True,
    )


def _groups(content: TaskContent, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Runs by configuration, in table order; those drawn at first are `on`."""
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
                "color": model_color(record.model),
                "runs": [],
                "on": False,
            },
        )
        group["runs"].append(_run(record))
    order = {row.label: i for i, row in enumerate(content.table.rows)}
    groups = [found[label] for label in sorted(found, key=lambda label: order.get(label, 0))]
    for group in _best_of_models(groups, sign=1 if content.card.metric.direction == "min" else -1):
        group["on"] = True
    return groups


def _best_of_models(groups: list[dict[str, Any]], sign: int) -> list[dict[str, Any]]:
    """Best configuration of each model on validation; `sign` is -1 if higher is better."""

    def end(group: dict[str, Any]) -> float:
        return min(sign * float(run["valid"][-1]) for run in group["runs"])

    best: dict[str, dict[str, Any]] = {}
    for group in sorted(groups, key=end):
        best.setdefault(group["model"], group)
    return list(best.values())[:MAX_SHOWN]


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
    """One point per validation, with the fields that the script gives its own points."""
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
    encoding = {
        "x": axis("x", "epochs"),
        "y": axis("y", metric, log=True),
        "detail": [{"field": "run"}, {"field": "part"}],
        "color": color_scale([value["model"] for value in values]),
    }
    line = {
        **encoding,
        "strokeDash": {
            "field": "part",
            "scale": {"domain": ["validation", "training"], "range": [[1, 0], [3, 3]]},
            "legend": None,
        },
        "opacity": {"condition": {"param": "near", "empty": True, "value": 1}, "value": 0.25},
    }
    nearest = {
        "type": "point",
        "fields": ["run"],
        "on": "pointerover",
        "clear": "pointerout",
        "nearest": True,
    }
    point = {
        **encoding,
        "opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0},
        "tooltip": tooltip(name="model", seed="seed", part="on", x="at", y=metric),
    }
    layers = [
        layer("line", line, strokeWidth=1.7, interpolate="linear"),
        {
            "params": [{"name": "near", "select": nearest}],
            **layer("point", point, filled=True, size=36),
        },
    ]
    if bounds:
        y = {"y": {"field": "bound", "type": "quantitative"}}
        data = {"data": {"values": [{"bound": value} for value in bounds]}}
        layers.append({**data, **layer("rule", y, strokeDash=[2, 4])})
    return layered_spec(values, layers, height=340)
