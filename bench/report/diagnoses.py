"""Why models differ: gradients over distance, and what they make of a longer history."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.content import TaskContent, short
from bench.report.figures import Figure, Values, axis, color_of, rounded, spec_of, tooltip
from bench.text.diagnoses import Diagnosis


def diagnosis_figures(content: TaskContent) -> list[Figure]:
    """Two figures over all diagnoses of a task; none where there are none."""
    found = content.diagnoses
    return [_gradients(content, found), _contexts(content, found)] if found else []


def _gradients(content: TaskContent, found: Sequence[Diagnosis]) -> Figure:
    values = [
        {**_of(content, d), "x": distance, "y": rounded(norm)}
        for d in found
        for distance, norm in enumerate(d.hidden_gradient)
        if norm > 0
    ]
    last = "; ".join(f"{d.run}: {short(d.hidden_gradient[-1], 2)}" for d in found)
    distance = max(len(d.hidden_gradient) for d in found) - 1
    return _figure(
        content,
        values,
        name="gradients",
        title="Gradient of the loss over distance back in time",
        alt=f"Norm of the gradient of the state {distance} steps back. {last}.",
        words=("steps back", "gradient norm of the state"),
    )


def _contexts(content: TaskContent, found: Sequence[Diagnosis]) -> Figure:
    values = [
        {**_of(content, d), "x": length, "y": rounded(value)}
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
        words=("words of history", f"validation {found[0].metric}"),
    )


def _of(content: TaskContent, found: Diagnosis) -> dict[str, object]:
    record = content.by_id[found.run]
    return {"run": found.run, "model": record.model, "color": color_of(record.model)}


def _figure(
    content: TaskContent, values: Values, *, name: str, title: str, alt: str, words: tuple[str, str]
) -> Figure:
    is_history = name == "contexts"
    encoding = {
        "x": axis("x", words[0], log=is_history),
        "y": axis("y", words[1], log=not is_history),
        "detail": {"field": "run"},
        "color": {"field": "color", "type": "nominal", "scale": None},
    }
    hint = tooltip(("run", "run"), ("x", words[0]), ("y", words[1]))
    layers = [
        {"mark": {"type": "line", "strokeWidth": 1.7}, "encoding": encoding},
        {
            "mark": {"type": "point", "filled": True, "size": 22, "opacity": 1},
            "encoding": {**encoding, "tooltip": hint},
        },
    ]
    return Figure(
        name=f"{content.task}/diagnostics/{name}",
        title=title,
        alt=alt,
        spec=spec_of(values, layers, width=420, height=260),
    )
