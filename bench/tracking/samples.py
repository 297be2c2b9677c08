"""A few rows of what a model wrote of the test split, beside what is right, for any tracker."""

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
from bench.tracking.tracker import Tracked

SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class SampleRows:
    """Rows of text; in a column called `image` stand the names of images."""

    columns: Sequence[str]
    rows: list[list[str]]


def sample_rows(tracked: Tracked) -> SampleRows | None:
    """Rows of the outputs that a run left in its folder, evenly apart; None where it left none."""
    card, num_rows = tracked.card, tracked.options.samples
    objective = str(tracked.config["objective"].get("name", card.objective))
    if num_rows == 0 or objective not in load_domain(card.kind).outputs:
        return None
    outputs = outputs_class(card, objective).read(tracked.folder, SPLIT)
    table = None if outputs is None else outputs.samples()
    if table is None:
        return None
    places = _spread(len(table.rows), num_rows)
    return SampleRows(columns=table.columns, rows=[list(table.rows[i].cells) for i in places])


def _spread(number: int, wanted: int) -> list[int]:
    """At most `wanted` places of `number`, evenly apart, the first and the last among them."""
    if number <= wanted or wanted < 2:
        return list(range(min(number, wanted)))
    return [round(i * (number - 1) / (wanted - 1)) for i in range(wanted)]


# What a finished run leaves that a tracker may keep a copy of.


_STEMS = {
    "checkpoints": ("weights",),
    "predictions": ("texts-", "recognitions-", "translations-", "captions-", "log_probs_"),
    "tables": (),
}


def files_to_send(tracked: Tracked, kind: Sendable) -> list[Path]:
    """The files of the run's folder that belong to `kind`, by name."""
    if not tracked.folder.is_dir():
        return []
    found = [path for path in tracked.folder.iterdir() if path.name.startswith(_STEMS[kind])]
    return sorted(path for path in found if path.is_file() and _STEMS[kind])


def texts_to_send(tracked: Tracked, kind: Sendable, record: Record) -> dict[str, str]:
    """File name -> text of what is written anew: with `tables` the record and the task's table."""
    if kind != "tables":
        return {}
    from bench.table import render, task_table

    suite = Suite(folder=tracked.folder.parents[2])  # of <suite>/artifacts/<task>/<run>
    table = task_table(suite, record.task)
    return {
        "record.json": msgspec.json.format(msgspec.json.encode(record), indent=1).decode() + "\n",
        "table.md": render(table, "md"),
        "table.json": render(table, "json"),
    }
