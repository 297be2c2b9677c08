"""Files of one header line and a line for each unit of a split, kept beside a run's weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.core.errors import BenchError
from bench.core.record import write_atomically

HeaderT = TypeVar("HeaderT")
LineT = TypeVar("LineT")


def write_json_lines(path: Path, header: Any, lines: Iterable[Any]) -> None:
    """Replace `path` by these, in one step."""
    encoded = [msgspec.json.encode(line) for line in (header, *lines)]
    write_atomically(path, b"\n".join(encoded) + b"\n")


def read_json_lines(
    path: Path, header: type[HeaderT], line: type[LineT]
) -> tuple[HeaderT, list[LineT]] | None:
    """Header and lines of a file, None where there is none; BenchError for a damaged one."""
    if not path.is_file():
        return None
    try:
        # Only a line feed ends a line: sentences may hold other separators.
        first, *rest = path.read_bytes().removesuffix(b"\n").split(b"\n")
        decoder = msgspec.json.Decoder(line)
        return msgspec.json.decode(first, type=header), [decoder.decode(each) for each in rest]
    except (ValueError, msgspec.DecodeError) as error:
        raise BenchError(f"{path}: damaged ({error}); delete it, and it is regenerated") from None
