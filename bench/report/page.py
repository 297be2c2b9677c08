"""A report as one HTML file: everything inside, nothing fetched."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench import __version__
from bench.core.record import write_atomically
from bench.core.suite import Suite
from bench.data.sources import cache_folder
from bench.report import content as numbers
from bench.report.comparisons import beside_figure, cost_figures
from bench.report.content import TaskContent, gather
from bench.report.curves import curve_figures
from bench.report.diagnoses import diagnosis_figures
from bench.report.figures import CONFIG, Figure, color_of, converter, is_network
from bench.report.overview import overview
from bench.report.pictures import Pictures, pictures_of
from bench.report.runs import RunPage, run_pages
from bench.report.samples import Samples, samples_of
from bench.report.sweeps import SweepPart, sweep_part
from bench.report.tables import Tables, tables_of

# The library that makes figures answer: Vega, Vega-Lite and Vega-Embed as one script.
#
# vl-convert carries it and takes seconds to put it together, so it is kept in the cache.


@functools.lru_cache(maxsize=1)
def library() -> str:
    """The script, safe inside a page; the same for each version of vl-convert."""
    tool = converter()
    name = f"vega-{tool.get_vega_version()}-embed-{tool.get_vega_embed_version()}.js"
    path = cache_folder() / "report" / name
    if path.is_file():
        return path.read_text(encoding="utf-8")
    script: str = tool.javascript_bundle().replace("</script", r"<\/script")
    with contextlib.suppress(OSError):  # a full disk costs the seconds again, nothing else
        write_atomically(path, script.encode())
    return script


Live = Literal["still", "served"]
_STYLES = ("base.css", "table.css", "parts.css")
_SCRIPTS = ("pages.js", "tables.js", "figures.js")


@dataclass(frozen=True, kw_only=True)
class TaskPage:
    """What the page of a task shows."""

    content: TaskContent
    tables: Tables
    beside: Figure | None
    curves: list[Figure]
    costs: list[Figure]
    sweeps: list[SweepPart]
    diagnoses: list[Figure]
    samples: Samples | None
    pictures: Pictures | None
    runs: list[RunPage]

    @property
    def models(self) -> list[str]:
        """Of the measured rows, in the order of their names."""
        rows = self.content.table.rows
        return sorted({row.model for row in rows if row.measured and row.model})


def build_report(suite: Suite, tasks: Sequence[str] = (), *, live: Live = "still") -> str:
    """The report of `tasks`, of all that have rows where none is named, as HTML.

    `served` pages ask their own server whether there is news. Raises BenchError for an unknown
    task and where vl-convert is missing.
    """
    contents = gather(suite, tasks)
    pages = [_page(suite, content) for content in contents]
    return (
        _environment()
        .get_template("report.html")
        .render(
            version=__version__,
            pages=pages,
            overview=overview(contents),
            live=live,
            config=CONFIG,
            styles=[Markup(_asset(name)) for name in _STYLES],
            scripts=[Markup(_asset(name)) for name in _SCRIPTS],
            library=Markup(library()),
        )
    )


def _page(suite: Suite, content: TaskContent) -> TaskPage:
    return TaskPage(
        content=content,
        tables=tables_of(content),
        beside=beside_figure(content),
        curves=curve_figures(content),
        costs=cost_figures(content),
        sweeps=[sweep_part(result) for result in content.sweeps],
        diagnoses=diagnosis_figures(content),
        samples=samples_of(suite, content),
        pictures=pictures_of(suite, content),
        runs=run_pages(content),
    )


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
        color=color_of,
        day=numbers.day,
        is_network=is_network,
        duration=numbers.duration,
        plural=numbers.plural,
        short=numbers.short,
        svg=Markup,
    )
    return environment


def _as_json(value: Any) -> Markup:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", r"\u003c"))


def _code(text: str) -> Markup:
    """Text in which what stands in backquotes is code."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)
    )


def _asset(name: str) -> str:
    return resources.files("bench.report").joinpath("assets", name).read_text(encoding="utf-8")
