"""A report as one self-contained HTML file."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench import __version__
from bench.core.record import write_atomically
from bench.core.suite import Suite
from bench.data.sources import cache_folder
from bench.report.comparisons import cost_figures, published_figure
from bench.report.content import TaskContent, format_number, gather
from bench.report.curves import curve_figures
from bench.report.diagnoses import diagnosis_figures
from bench.report.figures import CONFIG, is_network, load_converter, model_color
from bench.report.overview import build_overview
from bench.report.pictures import pictures_of
from bench.report.runs import run_pages
from bench.report.samples import samples_of
from bench.report.sweeps import sweep_section
from bench.report.tables import build_tables
from bench.table.legend import plural

Live = Literal["still", "served"]
_STYLES = ("base.css", "table.css", "parts.css")
_SCRIPTS = ("pages.js", "tables.js", "figures.js")


def build_report(suite: Suite, tasks: Sequence[str] = (), *, live: Live = "still") -> str:
    """Build the report of `tasks`, or of all that have rows, as HTML.

    A `served` page polls its server for changes. Raises BenchError for an unknown task and without
    vl-convert.
    """
    contents = gather(suite, tasks)
    pages = [_page(suite, content) for content in contents]
    return (
        _environment()
        .get_template("report.html")
        .render(
            version=__version__,
            pages=pages,
            overview=build_overview(contents),
            live=live,
            config=CONFIG,
            styles=[Markup(_asset(name)) for name in _STYLES],
            scripts=[Markup(_asset(name)) for name in _SCRIPTS],
            library=Markup(library()),
        )
    )


def _page(suite: Suite, content: TaskContent) -> dict[str, Any]:
    return {
        "content": content,
        "models": sorted({r.model for r in content.table.rows if r.measured and r.model}),
        "tables": build_tables(content),
        "published": published_figure(content),
        "curves": curve_figures(content),
        "costs": cost_figures(content),
        "sweeps": [sweep_section(result) for result in content.sweeps],
        "diagnoses": diagnosis_figures(content),
        "samples": samples_of(suite, content),
        "pictures": pictures_of(suite, content),
        "runs": run_pages(content),
    }


@functools.lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        as_json=_as_json,
        code=_code,
        color=model_color,
        is_network=is_network,
        number=format_number,
        plural=plural,
        svg=Markup,
    )
    return environment


@functools.lru_cache(maxsize=1)
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that is safe inside a page.

    vl-convert takes seconds to bundle them, so the script is cached for each version.
    """
    converter = load_converter()
    name = f"vega-{converter.get_vega_version()}-embed-{converter.get_vega_embed_version()}.js"
    path = cache_folder() / "report" / name
    if path.is_file():
        return path.read_text(encoding="utf-8")
    script: str = converter.javascript_bundle().replace("</script", r"<\/script")
    with contextlib.suppress(OSError):  # without a cache the next report bundles it again
        write_atomically(path, script.encode())
    return script


def _as_json(value: Any) -> Markup:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", r"\u003c"))


def _code(text: str) -> Markup:
    """HTML of a text with code in backquotes."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)
    )


def _asset(name: str) -> str:
    return resources.files("bench.report").joinpath("assets", name).read_text(encoding="utf-8")
