"""Figures of diagnoses: gradients over distance, and the value of a longer history."""

from __future__ import annotations

from bench.report.content import TaskContent, format_number
from bench.report.figures import (
    Figure,
    Values,
    axis,
    layer,
    layered_spec,
    model_color,
    rounded,
    tooltip,
)
from bench.text.diagnoses import Diagnosis


def diagnosis_figures(content: TaskContent) -> list[Figure]:
    """Two figures over all diagnoses of a task, or none."""
    return [_gradient_figure(content), _context_figure(content)] if content.diagnoses else []


def _gradient_figure(content: TaskContent) -> Figure:
    found = content.diagnoses
    values = [
        {**_identity(content, d), "x": distance, "y": rounded(norm)}
        for d in found
        for distance, norm in enumerate(d.hidden_gradient)
        if norm > 0
    ]
    last = "; ".join(f"{d.run}: {format_number(d.hidden_gradient[-1], 2)}" for d in found)
    distance = max(len(d.hidden_gradient) for d in found) - 1
    return _figure(
        content,
        values,
        name="gradients",
        title="Gradient of the loss over distance back in time",
        alt=f"Norm of the gradient of the state {distance} steps back. {last}.",
        axes=("steps back", "gradient norm of the state"),
    )


def _context_figure(content: TaskContent) -> Figure:
    found = content.diagnoses
    values = [
        {**_identity(content, d), "x": length, "y": rounded(value)}
        for d in found
        for length, value in d.context.items()
    ]
    used = "; ".join(f"{d.run}: {d.used_context or 'more than all tried'}" for d in found)
    return _figure(
        content,
        values,
        name="contexts",
        title="What a longer history is worth",
        alt=f"Words of history that come within 1 % of all history. {used}.",
        axes=("words of history", f"validation {found[0].metric}"),
    )


def _identity(content: TaskContent, found: Diagnosis) -> dict[str, object]:
    model = content.by_id[found.run].model
    return {"run": found.run, "model": model, "color": model_color(model)}


def _figure(
    content: TaskContent, values: Values, *, name: str, title: str, alt: str, axes: tuple[str, str]
) -> Figure:
    is_context = name == "contexts"
    encoding = {
        "x": axis("x", axes[0], log=is_context),
        "y": axis("y", axes[1], log=not is_context),
        "detail": {"field": "run"},
        "color": {"field": "color", "type": "nominal", "scale": None},
    }
    hint = {"tooltip": tooltip(run="run", x=axes[0], y=axes[1])}
    layers = [
        layer("line", encoding, strokeWidth=1.7),
        layer("point", {**encoding, **hint}, filled=True, size=22, opacity=1),
    ]
    return Figure(
        name=f"{content.task}/diagnostics/{name}",
        title=title,
        alt=alt,
        spec=layered_spec(values, layers, width=420, height=260),
    )
