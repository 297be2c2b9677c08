"""What is made once of a corpus and kept: cut words, subword models.

    <cache>/parallel/<key>      sha256 of what follows in hexadecimal, a line feed, the content

The key is the checksum of the recipe and of the text that it was made from, so that other text or
another recipe is another file. What does not bear its checksum is made anew; of several processes
one makes it and the others wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from filelock import FileLock

from bench.core.errors import BenchError
from bench.core.record import write_atomically

FORMAT = 1
"""Raised whenever the same recipe would give something else, so that old files are not read."""


def kept(cache: Path, recipe: Mapping[str, object], make: Callable[[], bytes]) -> bytes:
    """What `make` returns, from the cache where it was made before.

    `recipe` is all that it depends on. Raises BenchError when the cache cannot be written.
    """
    path = cache / "parallel" / key_of(recipe)
    if (found := _read(path)) is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if (found := _read(path)) is None:
                found = make()
                write_atomically(path, hashlib.sha256(found).hexdigest().encode() + b"\n" + found)
    except OSError as error:
        raise BenchError(f"cannot write to {path.parent}: {error}; set BENCH_CACHE") from error
    return found


def key_of(recipe: Mapping[str, object]) -> str:
    """The file's name."""
    whole = msgspec.json.encode({"format": FORMAT, **recipe}, order="deterministic")
    return hashlib.sha256(whole).hexdigest()[:24]


def _read(path: Path) -> bytes | None:
    try:
        mark, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest().encode() == mark else None
