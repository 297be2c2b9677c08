"""`bench report --wandb ENTITY/PROJECT`: a W&B report over the runs that were mirrored there.

For each task the comparison table of `bench table`, curves with a set of runs for each model, test
values against parameters and seconds, and for each sweep parallel coordinates and importance.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.core.errors import BenchError
from bench.core.record import write_atomically
from bench.core.suite import Suite
from bench.tracking.guard import one_line, silent_logging
from bench.tracking.wandb_server import NoKeyError, open_wandb

TITLE = "Recurrent architectures: published beside measured"
DecodedT = TypeVar("DecodedT")

DESCRIPTION = "Written by `bench report --wandb`; the numbers are those of `bench table`."
REPORTS = "wandb-reports.json"
"""File in `artifacts/`: the id of the report by ENTITY/PROJECT."""


def publish_report(suite: Suite, tasks: Sequence[str], *, entity: str, project: str) -> str:
    """Write the project's report on some tasks, or on all that have records; its address.

    Raises BenchError if wandb-workspaces is not installed, if there are no records, and for W&B's
    own errors.
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
            return _ReportWriter(suite, entity, project).publish(chosen)
    except NoKeyError as error:
        raise BenchError(f"W&B has {error}") from None
    except BenchError:
        raise
    except Exception as error:
        raise BenchError(f"W&B did not take the report ({one_line(error)})") from None


class _SweepDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a sweep's definition that a report shows."""

    models: list[str]
    space: dict[str, Any]


class _Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a sweep's result that a report shows."""

    name: str
    sweep: _SweepDefinition


class _ReportWriter:
    """Blocks of one project's report."""

    def __init__(self, suite: Suite, entity: str, project: str) -> None:
        self.suite, self.entity, self.project = suite, entity, project
        self.wr: Any = importlib.import_module("wandb_workspaces.reports.v2")

    def publish(self, tasks: Sequence[str]) -> str:
        """Save the report under its known id, if it has one; its address."""
        blocks: list[Any] = [self.wr.TableOfContents()]
        for task in tasks:
            blocks += self._task_blocks(task)
        report = self.wr.Report(
            project=self.project,
            entity=self.entity,
            title=TITLE,
            description=DESCRIPTION,
            blocks=blocks,
            width="fluid",
        )
        file, place = self.suite.folder / "artifacts" / REPORTS, f"{self.entity}/{self.project}"
        known = _decode(file, dict[str, str]) if file.is_file() else {}
        report.id = known.get(place, "")
        report.save()
        write_atomically(file, msgspec.json.encode({**known, place: report.id}))
        return str(report.url)

    def _task_blocks(self, task: str) -> Iterator[Any]:
        from bench.table import render, task_table

        wr, suite, card = self.wr, self.suite, self.suite.card(task)
        yield wr.H1(text=card.title)
        yield wr.MarkdownBlock(text=render(task_table(suite, task), "md"))
        models = sorted({record.model for record in suite.records(task)})
        yield wr.H2(text="Curves and cost")
        here, measured = f"Config('task') = '{task}'", "Metric('JobType') != 'trial'"
        yield wr.PanelGrid(
            runsets=[
                self._runset(model, f"{here} and Config('model_name') = '{model}' and {measured}")
                for model in models
            ],
            panels=self._panels(card.metric.name),
        )
        for path in sorted((suite.folder / "results" / task / "sweeps").glob("*.json")):
            yield from self._sweep_blocks(_decode(path, _Sweep), task)

    def _runset(self, name: str, filters: str) -> Any:
        return self.wr.Runset(entity=self.entity, project=self.project, name=name, filters=filters)

    def _panels(self, metric: str) -> list[Any]:
        wr, half = self.wr, partial(self.wr.Layout, w=12, h=8)
        costs = {"parameters": "num_parameters", "training FLOPs": "flops", "seconds": "seconds"}
        return [
            wr.LinePlot(
                title=f"Validation {metric}", x="Step", y=["epoch/valid"], log_x=True, layout=half()
            ),
            wr.LinePlot(title="Training", x="Step", y=["epoch/train"], log_x=True, layout=half()),
            *(
                wr.ScatterPlot(
                    title=f"Test {metric} against {name}",
                    x=wr.SummaryMetric(f"cost/{cost}"),
                    y=wr.SummaryMetric("final/test"),
                    log_x=True,
                    layout=half(),
                )
                for name, cost in costs.items()
            ),
        ]

    def _sweep_blocks(self, result: _Sweep, task: str) -> Iterator[Any]:
        wr = self.wr
        keys = [*(["model_name"] if len(result.sweep.models) > 1 else []), *result.sweep.space]
        columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(key)) for key in keys]
        value = wr.ParallelCoordinatesPlotColumn(
            metric=wr.SummaryMetric("epoch/valid"), display_name="validation"
        )
        filters = f"Config('task') = '{task}' and Metric('Group') = '{result.name}'"
        yield wr.H2(text=f"Sweep {result.name}")
        yield wr.PanelGrid(
            runsets=[self._runset(result.name, filters)],
            panels=[
                wr.ParallelCoordinatesPlot(columns=[*columns, value], layout=wr.Layout(w=24, h=9)),
                wr.ParameterImportancePlot(
                    with_respect_to="epoch/valid", layout=wr.Layout(w=24, h=8)
                ),
            ],
        )


def _decode(path: Path, kind: type[DecodedT]) -> DecodedT:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise BenchError(f"{path}: damaged ({error}); restore it or delete it") from None
