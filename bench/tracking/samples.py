"""Samples of a model's outputs on the test split, and files of a run, for any tracker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.core.record import Record
from bench.core.suite import Suite
from bench.domains import load_domain
from bench.runs.outputs import outputs_class
from bench.tracking.options import Sendable
from bench.tracking.tracker import TrackedRun

SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class SampleRows:
    """Rows of text; in a column called `image` stand the names of images."""

    columns: Sequence[str]
    rows: list[list[str]]


def sample_rows(run: TrackedRun) -> SampleRows | None:
    """Rows of the outputs that a run left in its folder, evenly apart; None where it left none."""
    card, num_rows = run.card, run.options.samples
    objective = str(run.config["objective"].get("name", card.objective))
    if num_rows == 0 or objective not in load_domain(card.kind).outputs:
        return None
    outputs = outputs_class(card, objective).read(run.folder, SPLIT)
    table = None if outputs is None else outputs.samples()
    if table is None:
        return None
    places = _spread(len(table.rows), num_rows)
    return SampleRows(columns=table.columns, rows=[list(table.rows[i].cells) for i in places])


def _spread(number: int, wanted: int) -> list[int]:
    """At most `wanted` of `number` places, evenly spaced, with the first and the last."""
    if number <= wanted or wanted < 2:
        return list(range(min(number, wanted)))
    return [round(i * (number - 1) / (wanted - 1)) for i in range(wanted)]


_STEMS = {
    "checkpoints": ("weights",),
    "predictions": ("texts-", "recognitions-", "translations-", "captions-", "log_probs_"),
    "tables": (),
}


def files_to_send(run: TrackedRun, kind: Sendable) -> list[Path]:
    """Files of the run's folder that belong to `kind`, by name."""
    if not run.folder.is_dir():
        return []
    found = [path for path in run.folder.iterdir() if path.name.startswith(_STEMS[kind])]
    return sorted(path for path in found if path.is_file() and _STEMS[kind])


def texts_to_send(run: TrackedRun, kind: Sendable, record: Record) -> dict[str, str]:
    """Text by file name: with `tables` the record and the task's table, else nothing."""
    if kind != "tables":
        return {}
    from bench.table import render, task_table

    table = task_table(Suite(folder=run.suite_folder), record.task)
    return {
        "record.json": msgspec.json.format(msgspec.json.encode(record), indent=1).decode() + "\n",
        "table.md": render(table, "md"),
        "table.json": render(table, "json"),
    }
