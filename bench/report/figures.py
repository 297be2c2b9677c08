"""Figures: a Vega-Lite specification, a static SVG and a description in words.

The SVG is drawn by vl-convert (the extra `report`), which also brings the library that makes
figures interactive. Colours are CSS variables, so that one figure serves light and dark.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.core.errors import BenchError
from bench.domains import all_baselines
from bench.models import MODELS
from bench.report.content import format_number

Spec = dict[str, Any]
Values = list[dict[str, Any]]
NUM_COLORS = 10
_TICK = "abs(datum.value) < 1000 ? format(datum.value, '~g') : format(datum.value, '~s')"
_QUIET, _LINE, _INK = "var(--quiet)", "var(--line)", "var(--ink)"
CONFIG: Spec = {
    "background": "transparent",
    "font": "Inter, ui-sans-serif, system-ui, sans-serif",
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": _LINE,
        "labelColor": _QUIET,
        "labelFontSize": 11,
        "labelPadding": 7,
        "labelOverlap": "greedy",
        "labelSeparation": 8,
        "titleColor": _QUIET,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 10,
    },
    "axisX": {"grid": False, "domain": True, "domainColor": _LINE},
    "text": {"color": _INK, "fontSize": 11},
    "rule": {"color": _QUIET},
}


@dataclass(frozen=True, kw_only=True)
class Control:
    """Form control that changes a figure."""

    name: str
    """Name in the script."""
    label: str
    kind: Literal["check", "choice", "range"]
    options: Mapping[str, str] = field(default_factory=dict)
    """Values of a choice and their labels."""
    checked: bool = False


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One chart of a page."""

    name: str
    """Unique in the report."""
    title: str
    alt: str
    """Description in words."""
    spec: Spec
    controls: Sequence[Control] = ()
    data: Spec = field(default_factory=dict)
    """Data for the script beyond those in the picture."""
    wide: bool = False

    @property
    def svg(self) -> str:
        """Static SVG, without the parts that answer a pointer."""
        layers = [_static(layer) for layer in self.spec["layer"] if "params" not in layer]
        return draw(json.dumps({**self.spec, "layer": layers}, sort_keys=True))

    @property
    def script_data(self) -> Spec:
        """Data for the script, which has the configuration and the points of curves elsewhere."""
        spec = {key: value for key, value in self.spec.items() if key not in ("config", "$schema")}
        if "groups" in self.data:
            spec["data"] = {"name": "values"}
        return {"spec": spec, **self.data}


def _static(layer: Spec) -> Spec:
    encoding = {
        name: channel
        for name, channel in layer["encoding"].items()
        if name != "tooltip" and not (isinstance(channel, dict) and "condition" in channel)
    }
    return {**layer, "encoding": encoding}


@functools.lru_cache(maxsize=512)
def draw(spec: str) -> str:
    """Draw a specification in JSON as SVG that scales with its container."""
    svg: str = load_converter().vegalite_to_svg(json.loads(spec))
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def load_converter() -> Any:
    """Import vl-convert; raises BenchError if it is not installed."""
    try:
        import vl_convert
    except ImportError:
        raise BenchError(
            "a report's figures need vl-convert: pip install 'sequence-bench[report]'"
        ) from None
    return vl_convert


def layered_spec(
    values: Values, layers: list[Spec], *, width: int = 680, height: int = 320
) -> Spec:
    """Specification of layers over shared values."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"name": "values", "values": values},
        "layer": layers,
        "config": CONFIG,
    }


def layer(mark: str, encoding: Spec, **options: Any) -> Spec:
    """Layer of one mark with its options."""
    return {"mark": {"type": mark, **options}, "encoding": encoding}


def axis(field_name: str, title: str, *, log: bool = False) -> Spec:
    """Quantitative axis that need not start at 0."""
    return {
        "field": field_name,
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "nice": False} if log else {"zero": False},
        "axis": {"labelExpr": _TICK, "tickCount": 6},
    }


def tooltip(**titles: str) -> list[Spec]:
    """Tooltip of fields with their titles."""
    return [{"field": name, "title": title} for name, title in titles.items()]


def color_scale(models: Sequence[str]) -> Spec:
    """Colour encoding by model without a legend: names stand beside the figure."""
    domain = sorted(set(models))
    scale = {"domain": domain, "range": [model_color(model) for model in domain]}
    return {"field": "model", "type": "nominal", "scale": scale, "legend": None}


def model_color(model: str | None) -> str:
    """Colour of a model, the same in every figure."""
    known = [*MODELS, *all_baselines()]
    index = known.index(model) if model in known else len(known)
    return f"var(--c{index % NUM_COLORS})"


def is_network(model: str | None) -> bool:
    """True if a model learns by gradient; figures show these as discs, others as diamonds."""
    return model in MODELS


def rounded(value: float | None) -> float | None:
    """Value with five significant digits, enough for a figure."""
    return None if value is None else float(f"{value:.5g}")


def describe_range(values: Sequence[float]) -> str:
    """`from 95.2 to 201`."""
    return f"from {format_number(min(values))} to {format_number(max(values))}"
