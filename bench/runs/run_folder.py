"""The folder of a run's heavy output: writable, held by one process at a time, emptied."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.core.errors import BenchError


def check_writable(folder: Path) -> None:
    """Refuse before training what would fail after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchError(
            f"{folder}: cannot write here ({error.strerror}): name another folder with --suite"
        ) from None


def held(folder: Path, *, busy: Callable[[], None]) -> Any:
    """The folder's lock, to be entered; `busy` is called once where it has to be waited for."""
    lock = FileLock(folder / ".lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        busy()
        return lock.acquire()


def empty(folder: Path) -> None:
    """Remove everything but the lock."""
    for item in folder.iterdir():
        if item.name != ".lock":
            shutil.rmtree(item) if item.is_dir() else item.unlink()


def first_started(folder: Path) -> str:
    """Time of the first start of a run, over all its sessions."""
    stamp = folder / "started"
    if not stamp.exists():
        stamp.write_text(datetime.now(UTC).isoformat(timespec="seconds"))
    return stamp.read_text()
