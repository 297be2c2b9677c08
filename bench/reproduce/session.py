"""Shared files by which the workers of one `bench reproduce` coordinate.

    <session>/claims/<run>.lock      locked by the worker that carries out the run
    <session>/begun/<run>            a line per start, left behind by a worker that dies
    <session>/outcomes/<run>.json    outcome of the run
    <session>/workers/<worker>.json  current run of a worker
    <session>/worker-<n>.log         output of a worker

A session lasts for one call; only records say what has been measured.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from filelock import FileLock, Timeout

from bench.core.record import write_atomically

MAX_STARTS = 3
"""Number of starts of a run without a new checkpoint after which it is not started again."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of one run of the plan."""

    run_id: str
    status: Literal["finished", "diverged", "failed"]
    value: float | None = None
    """Test metric."""
    seconds: float = 0.0
    """Seconds that this session spent on the run."""
    reason: str | None = None
    """Reason of a failure, in one line."""


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """Current run of a worker."""

    run_id: str
    host: str
    pid: int
    since_sec: float
    """Start, in seconds since the epoch."""


class Session:
    """One folder of claims, starts, outcomes and activities."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, Outcome] = {}

    @contextmanager
    def claim(self, run_id: str) -> Iterator[bool]:
        """Lock a run, or yield False if another worker has; a worker that dies releases it."""
        path = self.folder / "claims" / f"{run_id}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def add_start(self, run_id: str, progress: int) -> int:
        """Record a start of a run and return the number of its starts at the same `progress`."""
        path = self.folder / "begun" / run_id
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"{progress}\n")
        return path.read_text().split().count(str(progress))

    def undo_start(self, run_id: str) -> None:
        """Remove the last start of a run."""
        path = self.folder / "begun" / run_id
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))

    def add_outcome(self, outcome: Outcome) -> None:
        """Record the outcome of a run."""
        path = self.folder / "outcomes" / f"{outcome.run_id}.json"
        write_atomically(path, msgspec.json.encode(outcome))

    def outcomes(self) -> dict[str, Outcome]:
        """Run -> outcome, in the order of their end."""
        paths = (self.folder / "outcomes").glob("*.json")
        for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
            if path.stem not in self._known:
                self._known[path.stem] = msgspec.json.decode(path.read_bytes(), type=Outcome)
        return self._known

    def set_activity(self, worker: str, run_id: str | None) -> None:
        """Record the current run of a worker, or None."""
        path = self.folder / "workers" / f"{worker}.json"
        if run_id is None:
            path.unlink(missing_ok=True)
            return
        activity = Activity(
            run_id=run_id, host=socket.gethostname(), pid=os.getpid(), since_sec=time.time()
        )
        write_atomically(path, msgspec.json.encode(activity))

    def activities(self) -> dict[str, Activity]:
        """Worker -> activity, for workers that carry out a run."""
        found = {}
        for path in sorted((self.folder / "workers").glob("*.json")):
            try:
                found[path.stem] = msgspec.json.decode(path.read_bytes(), type=Activity)
            except FileNotFoundError:
                continue
        return found


def open_session(artifacts: Path, task: str) -> Session:
    """Create a new session below `artifacts`."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = artifacts / "reproduce" / f"{task}-{stamp}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return Session(folder)
    raise AssertionError("a thousand sessions in one second")
