"""A figure: a Vega-Lite specification, its picture without a script, and words that say the same.

The picture is drawn by vl-convert (the extra `report`), which also brings the library that makes
figures answer in the browser. Colours are CSS variables, so one figure serves light and dark.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.core.errors import BenchError
from bench.domains import all_baselines
from bench.models import MODELS
from bench.report.content import short

Spec = dict[str, Any]
Values = list[dict[str, Any]]
NUM_COLORS = 10
FONT = "Inter, ui-sans-serif, system-ui, sans-serif"
_TICK = "abs(datum.value) < 1000 ? format(datum.value, '~g') : format(datum.value, '~s')"
_QUIET, _LINE, _INK = "var(--quiet)", "var(--line)", "var(--ink)"
CONFIG: Spec = {
    "background": "transparent",
    "font": FONT,
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
    """Something beside a figure that changes it."""

    name: str
    """What the script calls it."""
    label: str
    kind: str
    """check, choice or range."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of a choice: value -> words."""
    checked: bool = False


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One chart of a page."""

    name: str
    """Unique in the report."""
    title: str
    alt: str
    """What it shows, in words."""
    spec: Spec
    controls: Sequence[Control] = ()
    data: Spec = field(default_factory=dict)
    """What the script draws from, where that is more than the picture shows."""
    wide: bool = False

    @property
    def picture(self) -> str:
        """The figure as SVG, without what only answers a pointer."""
        layers = [_still(layer) for layer in self.spec["layer"] if "params" not in layer]
        return draw(json.dumps({**self.spec, "layer": layers}, sort_keys=True))

    @property
    def live(self) -> Spec:
        """What the script needs: it has the looks, and the points of curves, from elsewhere."""
        spec = {key: value for key, value in self.spec.items() if key not in ("config", "$schema")}
        if "groups" in self.data:
            spec["data"] = {"name": "values"}
        return {"spec": spec, **self.data}


def _still(layer: Spec) -> Spec:
    encoding = {
        name: channel
        for name, channel in layer["encoding"].items()
        if name != "tooltip" and not (isinstance(channel, dict) and "condition" in channel)
    }
    return {**layer, "encoding": encoding}


def spec_of(
    values: Values, layers: list[Spec], *, width: int = 680, height: int = 320, **parts: Any
) -> Spec:
    """A specification over shared values in this report's looks."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"name": "values", "values": values},
        "layer": layers,
        "config": CONFIG,
        **parts,
    }


def axis(field_name: str, title: str, *, log: bool = False, **scale: Any) -> Spec:
    """A quantitative axis that need not begin at 0."""
    kind = {"type": "log", "nice": False} if log else {"zero": False}
    return {
        "field": field_name,
        "type": "quantitative",
        "title": title,
        "scale": {**kind, **scale},
        "axis": {"labelExpr": _TICK, "tickCount": 6},
    }


def color_of(model: str | None) -> str:
    """A model's colour, the same in every figure."""
    known = [*MODELS, *all_baselines()]
    place = known.index(model) if model in known else len(known)
    return f"var(--c{place % NUM_COLORS})"


def is_network(model: str | None) -> bool:
    """Whether a model learns by gradient: figures show these as discs, the others as diamonds."""
    return model in MODELS


def colors(models: Sequence[str]) -> Spec:
    """The encoding by model, without a legend: names stand beside the figure."""
    domain = sorted(set(models))
    scale = {"domain": domain, "range": [color_of(model) for model in domain]}
    return {"field": "model", "type": "nominal", "scale": scale, "legend": None}


def tooltip(*fields: tuple[str, str]) -> list[Spec]:
    """What a pointer is shown: field, words."""
    return [{"field": name, "title": words} for name, words in fields]


def rounded(value: float | None, digits: int = 5) -> float | None:
    """Enough for a picture."""
    return None if value is None else float(f"{value:.{digits}g}")


@functools.lru_cache(maxsize=512)
def draw(spec: str) -> str:
    """A specification, written as JSON, as SVG that scales with its place."""
    svg: str = converter().vegalite_to_svg(json.loads(spec))
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def converter() -> Any:
    """vl-convert, or BenchError that says how to get it."""
    try:
        import vl_convert
    except ImportError:
        raise BenchError(
            "a report's figures need vl-convert: pip install 'sequence-bench[report]'"
        ) from None
    return vl_convert


def range_in_words(values: Sequence[float]) -> str:
    """`from 95.2 to 201`."""
    return f"from {short(min(values))} to {short(max(values))}"
