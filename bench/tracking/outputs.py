"""What a finished run leaves that a tracker may keep a copy of."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.core.record import Record
from bench.core.suite import Suite
from bench.tracking.options import Sendable
from bench.tracking.tracker import Tracked

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
