"""`bench report --wandb ENTITY/PROJECT`: a W&B report over the runs that were mirrored there.

For each task the comparison table of `bench table`, curves with a set of runs for each model,
test values against parameters and seconds, and for each sweep parallel coordinates and importance.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from bench.core.errors import BenchError
from bench.core.record import write_atomically
from bench.core.suite import Suite
from bench.tracking.guard import one_line, silent_logging
from bench.tracking.wandb_server import NoKeyError, open_wandb

TITLE = "Recurrent architectures: published beside measured"
MEMORY = "wandb-reports.json"
"""In `artifacts/`: ENTITY/PROJECT -> the report that is written anew there."""


class _Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What a report needs of a sweep's definition."""

    models: list[str]
    space: dict[str, Any]


class _Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What a report needs of a sweep's result."""

    name: str
    sweep: _Swept


def publish_report(suite: Suite, tasks: Sequence[str], *, entity: str, project: str) -> str:
    """Build the report of some tasks, or of all that have records; its address.

    The same project's report is written anew. Raises BenchError where wandb-workspaces is not
    installed, where there are no records, and for what W&B says against it.
    """
    if find_spec("wandb_workspaces") is None:
        raise BenchError(
            "--wandb needs wandb-workspaces, which is not installed: "
            "pip install 'sequence-bench[wandb]'"
        )
    chosen = [task for task in (tasks or suite.card_paths()) if suite.records(task)]
    if not chosen:
        raise BenchError("there are no records to report: `bench run` makes the first")
    try:
        with silent_logging():
            open_wandb("online", suite.folder / "artifacts")
            return _publish(suite, chosen, entity, project)
    except NoKeyError as error:
        raise BenchError(f"W&B has {error}") from None
    except BenchError:
        raise
    except Exception as error:
        raise BenchError(f"W&B did not take the report ({one_line(error)})") from None


def _publish(suite: Suite, tasks: Sequence[str], entity: str, project: str) -> str:
    wr = _library()
    place = f"{entity}/{project}"
    blocks: list[Any] = [wr.TableOfContents()]
    for task in tasks:
        blocks += list(_task_blocks(suite, task, entity, project))
    report = wr.Report(
        project=project,
        entity=entity,
        title=TITLE,
        description="Written by `bench report --wandb`; the numbers are those of `bench table`.",
        blocks=blocks,
        width="fluid",
    )
    memory = suite.folder / "artifacts" / MEMORY
    known = _remembered(memory)
    report.id = known.get(place, "")
    report.save()
    write_atomically(memory, msgspec.json.encode({**known, place: report.id}))
    return str(report.url)


def _library() -> Any:
    return importlib.import_module("wandb_workspaces.reports.v2")


def _remembered(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except msgspec.DecodeError as error:
        raise BenchError(f"{path}: damaged ({error}); delete it") from None


def _task_blocks(suite: Suite, task: str, entity: str, project: str) -> Iterator[Any]:
    from bench.table import render, task_table

    wr, card = _library(), suite.card(task)
    yield wr.H1(text=card.title)
    yield wr.MarkdownBlock(text=render(task_table(suite, task), "md"))
    models = sorted({record.model for record in suite.records(task)})
    yield wr.H2(text="Curves and cost")
    yield wr.PanelGrid(
        runsets=[
            wr.Runset(
                entity=entity,
                project=project,
                name=model,
                filters=f"Config('task') = '{task}' and Config('model_name') = '{model}'"
                " and Metric('JobType') != 'trial'",
            )
            for model in models
        ],
        panels=_panels(card.metric.name),
    )
    for path in sorted((suite.folder / "results" / task / "sweeps").glob("*.json")):
        yield from _sweep_blocks(_read_sweep(path), task, entity, project)


def _panels(metric: str) -> list[Any]:
    wr = _library()

    def scatter(title: str, cost: str) -> Any:
        x, y = wr.SummaryMetric(f"cost/{cost}"), wr.SummaryMetric("final/test")
        return wr.ScatterPlot(title=title, x=x, y=y, log_x=True, layout=_half())

    return [
        wr.LinePlot(
            title=f"Validation {metric}", x="Step", y=["epoch/valid"], log_x=True, layout=_half()
        ),
        wr.LinePlot(title="Training", x="Step", y=["epoch/train"], log_x=True, layout=_half()),
        scatter(f"Test {metric} against parameters", "num_parameters"),
        scatter(f"Test {metric} against training FLOPs", "flops"),
        scatter(f"Test {metric} against seconds", "seconds"),
    ]


def _half() -> Any:
    wr = _library()
    return wr.Layout(w=12, h=8)


def _sweep_blocks(result: _Sweep, task: str, entity: str, project: str) -> Iterator[Any]:
    wr = _library()
    keys = [*(["model_name"] if len(result.sweep.models) > 1 else []), *result.sweep.space]
    columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(key)) for key in keys]
    value = wr.ParallelCoordinatesPlotColumn(
        metric=wr.SummaryMetric("epoch/valid"), display_name="validation"
    )
    yield wr.H2(text=f"Sweep {result.name}")
    yield wr.PanelGrid(
        runsets=[
            wr.Runset(
                entity=entity,
                project=project,
                name=result.name,
                filters=f"Config('task') = '{task}' and Metric('Group') = '{result.name}'",
            )
        ],
        panels=[
            wr.ParallelCoordinatesPlot(columns=[*columns, value], layout=wr.Layout(w=24, h=9)),
            wr.ParameterImportancePlot(with_respect_to="epoch/valid", layout=wr.Layout(w=24, h=8)),
        ],
    )


def _read_sweep(path: Path) -> _Sweep:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Sweep)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BenchError(f"{path}: not a sweep's result ({error})") from None
