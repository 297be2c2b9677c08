"""What a user said of a run's tracking at its beginning, kept for `bench sync`: `tracking.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.core.errors import BenchError
from bench.core.record import write_atomically
from bench.tracking.tracker import Tracked

START = "tracking.json"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What is in no record."""

    job_type: str = "training"
    group: str | None = None
    tags: list[str] = []
    notes: str | None = None
    artifacts: str = "none"


def write_start(tracked: Tracked) -> None:
    """Keep it beside the run."""
    start = Start(
        job_type=tracked.job_type,
        group=tracked.group,
        tags=list(tracked.tags),
        notes=tracked.options.notes,
        artifacts=tracked.options.artifacts,
    )
    write_atomically(tracked.folder / START, msgspec.json.encode(start))


def read_start(folder: Path) -> Start:
    """What was kept; the defaults where nothing was."""
    path = folder / START
    if not path.is_file():
        return Start()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Start)
    except msgspec.DecodeError as error:
        raise BenchError(f"{path}: damaged ({error}); delete it") from None
