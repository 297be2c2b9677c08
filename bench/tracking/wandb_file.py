"""Files of a W&B run: its offline file, and `tracking.json`, kept for `bench sync`.

W&B reports no error when the disk is full, so the offline file `run-ID.wandb` is checked. After a
header of 7 bytes it has blocks of 32 KiB in the layout of LevelDB's log: chunks of checksum
[4 bytes], length [2], kind [1] (whole, first, middle, last) and data; a record of W&B's protocol
may take several.
"""

from __future__ import annotations

import importlib
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.core.errors import BenchError
from bench.core.record import write_atomically
from bench.tracking.tracker import TrackedRun

_HEADER_BYTES, _BLOCK_BYTES, _CHUNK_HEADER_BYTES = 7, 32768, 7
_WHOLE, _LAST = 1, 4
START = "tracking.json"


def messages(content: bytes) -> Iterator[bytes]:
    """Bytes of each record, up to the first that is incomplete."""
    place, parts = _HEADER_BYTES, b""
    while place + _CHUNK_HEADER_BYTES <= len(content):
        left = _BLOCK_BYTES - place % _BLOCK_BYTES
        if left < _CHUNK_HEADER_BYTES:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        place += _CHUNK_HEADER_BYTES
        if kind == 0 or place + length > len(content):
            return
        parts += content[place : place + length]
        place += length
        if kind in (_WHOLE, _LAST):
            yield parts
            parts = b""


def becomes_complete(path: Path, *, wait_sec: float = 5.0) -> bool:
    """Wait for the end record of a finished run; False if the file does not get one."""
    deadline = time.monotonic() + wait_sec
    while "exit" not in _kinds(path):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def num_history_rows(path: Path) -> int:
    """Number of rows of the history in the file."""
    return _kinds(path).count("history")


def _kinds(path: Path) -> list[str]:
    """Kinds of the file's records."""
    protocol: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    kinds = []
    for content in messages(path.read_bytes()) if path.is_file() else ():
        record = protocol.Record()
        record.ParseFromString(content)
        kinds.append(str(record.WhichOneof("record_type")))
    return kinds


def offline_files(folder: Path) -> list[Path]:
    """Files of a run's offline sessions, oldest first; the last one holds the whole run."""
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"))


def mark_superseded(folder: Path, *, keep: Path | None) -> None:
    """Make `wandb sync` skip all files but `keep`, in which everything is logged again."""
    for path in offline_files(folder):
        if path != keep:
            path.with_suffix(".wandb.synced").touch()


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Tracking settings at a run's start that its record does not hold."""

    job_type: str = "training"
    group: str | None = None
    tags: list[str] = []
    notes: str | None = None
    artifacts: str = "none"


def write_start(run: TrackedRun) -> None:
    """Write `tracking.json` beside the run."""
    start = Start(
        job_type=run.job_type,
        group=run.group,
        tags=list(run.tags),
        notes=run.options.notes,
        artifacts=run.options.artifacts,
    )
    write_atomically(run.folder / START, msgspec.json.encode(start))


def read_start(folder: Path) -> Start:
    """The `tracking.json` of a run; defaults if it has none."""
    path = folder / START
    if not path.is_file():
        return Start()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Start)
    except msgspec.DecodeError as error:
        raise BenchError(f"{path}: damaged ({error}); delete it") from None
