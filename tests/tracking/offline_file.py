"""Reads the file that W&B writes offline.

After a header of 7 bytes come blocks of 32 KiB in the layout of LevelDB's log: chunks of checksum
[4 bytes], length [2], kind [1] (whole, first, middle, last) and data. A record is a protobuf
message of the package's own definition.
"""

from __future__ import annotations

import importlib
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEADER_BYTES, BLOCK_BYTES, CHUNK_HEADER_BYTES = 7, 32768, 7
WHOLE, LAST = 1, 4


@dataclass
class Offline:
    """Contents of the file."""

    run_id: str = ""
    group: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def messages(content: bytes) -> list[bytes]:
    """The records' bytes, put together from their chunks."""
    assert content[:4] == b":W&B"
    place, parts, found = HEADER_BYTES, b"", []
    while place + CHUNK_HEADER_BYTES <= len(content):
        left = BLOCK_BYTES - place % BLOCK_BYTES
        if left < CHUNK_HEADER_BYTES:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        place += CHUNK_HEADER_BYTES
        parts += content[place : place + length]
        place += length
        if kind in (WHOLE, LAST):
            found.append(parts)
            parts = b""
    return found


def read_offline(folder: Path) -> Offline:
    """The one offline run below `folder`."""
    protocol: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    (path,) = folder.rglob("*.wandb")
    run = Offline()
    for content in messages(path.read_bytes()):
        record = protocol.Record()
        record.ParseFromString(content)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.run_id, run.group = record.run.run_id, record.run.run_group
            run.tags = list(record.run.tags)
            run.config |= _values(record.run.config.update)
        elif kind == "config":
            run.config |= _values(record.config.update)
        elif kind == "history":
            run.history.append(_values(record.history.item))
        elif kind == "summary":
            run.summary |= _values(record.summary.update)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _values(items: Any) -> dict[str, Any]:
    """Key -> value; a nested key is joined by slashes."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
