"""The file that W&B writes of a run, `run-ID.wandb`: whether it is whole.

W&B says nothing when the disk is full, it writes less. After a header of 7 bytes come blocks of
32 KiB in the layout of LevelDB's log: chunks of checksum [4 bytes], length [2], kind [1] (whole,
first, middle, last) and data; a record of W&B's own protocol may take several.
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
from bench.tracking.tracker import Tracked

_HEADER_BYTES, _BLOCK_BYTES, _CHUNK_HEADER_BYTES = 7, 32768, 7
_WHOLE, _LAST = 1, 4


def messages(content: bytes) -> Iterator[bytes]:
    """The bytes of each record, up to the first that is incomplete."""
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


def becomes_whole(path: Path, *, wait_sec: float = 5.0) -> bool:
    """Whether the file ends as that of a finished run does, once its writer has closed it."""
    until = time.monotonic() + wait_sec
    while "exit" not in _kinds(path):
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)
    return True


def num_history_rows(path: Path) -> int:
    """Rows of the history that the file holds."""
    return _kinds(path).count("history")


def _kinds(path: Path) -> list[str]:
    """What each record of the file is."""
    protocol: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    kinds = []
    for content in messages(path.read_bytes()) if path.is_file() else ():
        record = protocol.Record()
        record.ParseFromString(content)
        kinds.append(str(record.WhichOneof("record_type")))
    return kinds


def offline_files(folder: Path) -> list[Path]:
    """The files of the offline sittings of a run, oldest first; the last one is whole."""
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"))


def mark_superseded(folder: Path, *, keep: Path | None) -> None:
    """Let `wandb sync` pass by all but `keep`, in which everything is told again."""
    for path in offline_files(folder):
        if path != keep:
            path.with_suffix(".wandb.synced").touch()


# What a user said of a run's tracking at its beginning, kept for `bench sync`: `tracking.json`.


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
