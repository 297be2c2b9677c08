"""What the workers of one `bench reproduce` tell each other: claims and outcomes, as files.

    <session>/claims/<run>.lock      held by the worker that is at the run
    <session>/begun/<run>            a line for each start: a worker that dies leaves it behind
    <session>/outcomes/<run>.json    what became of the run
    <session>/workers/<worker>.json  what a worker is at
    <session>/worker-<n>.log         what it said

Records stay the only truth about what has been measured; a session lasts for one call.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from filelock import FileLock, Timeout

from bench.core.record import Record, read_record, write_atomically
from bench.core.suite import Suite
from bench.reproduce.plan import Plan
from bench.reproduce.steps import Step
from bench.training.checkpoint import LAST

MAX_STARTS = 3
"""A run that was started so often without getting ahead is not started again."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run of the plan."""

    run_id: str
    status: Literal["finished", "diverged", "failed"]
    value: float | None = None
    """The metric on test."""
    seconds: float = 0.0
    """What this session spent on it."""
    reason: str | None = None
    """Why it failed, in one line."""


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is at."""

    run_id: str
    host: str
    pid: int
    since_sec: float
    """Of the clock on the wall."""


class Session:
    """One folder of claims and outcomes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, Outcome] = {}

    @contextmanager
    def claim(self, run_id: str) -> Iterator[bool]:
        """Whether this worker alone is at the run; a worker that dies lets go of it."""
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

    def begin(self, run_id: str, progress: int) -> int:
        """Note a start at some `progress`; how many there have been at the same one."""
        path = self.folder / "begun" / run_id
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"{progress}\n")
        return path.read_text().split().count(str(progress))

    def take_back(self, run_id: str) -> None:
        """The last start was none."""
        path = self.folder / "begun" / run_id
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))

    def settle(self, outcome: Outcome) -> None:
        """Say what became of a run."""
        path = self.folder / "outcomes" / f"{outcome.run_id}.json"
        write_atomically(path, msgspec.json.encode(outcome))

    def outcomes(self) -> dict[str, Outcome]:
        """Run -> what became of it, in the order of their end."""
        found = sorted(
            (path for path in (self.folder / "outcomes").glob("*.json")),
            key=lambda path: path.stat().st_mtime_ns,
        )
        for path in found:
            if path.stem not in self._known:
                self._known[path.stem] = msgspec.json.decode(path.read_bytes(), type=Outcome)
        return self._known

    def at(self, worker: str, run_id: str | None) -> None:
        """Say what a worker is at; None: nothing."""
        path = self.folder / "workers" / f"{worker}.json"
        if run_id is None:
            path.unlink(missing_ok=True)
            return
        doing = Doing(
            run_id=run_id, host=socket.gethostname(), pid=os.getpid(), since_sec=time.time()
        )
        write_atomically(path, msgspec.json.encode(doing))

    def doing(self) -> dict[str, Doing]:
        """Worker -> what it is at."""
        found = {}
        for path in sorted((self.folder / "workers").glob("*.json")):
            try:
                found[path.stem] = msgspec.json.decode(path.read_bytes(), type=Doing)
            except FileNotFoundError:
                continue
        return found

    def log(self, worker: str) -> Path:
        """Where what a worker says is kept."""
        return self.folder / f"{worker}.log"


def open_session(artifacts: Path, task: str) -> Session:
    """A session of its own below `artifacts`."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = artifacts / "reproduce" / f"{task}-{stamp}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return Session(folder)
    raise AssertionError("a thousand sessions in one second")


# Which runs of a plan are over, which can begin, and which have to be made anew.


State = Literal["done", "to do", "resumes", "anew"]
"""anew: recorded, but the weights are gone that another run of the plan has to read."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the plan's runs stand, as far as files tell."""

    suite: Suite
    plan: Plan

    def record(self, step: Step) -> Record | None:
        """The record of a step, of the working folder or shipped."""
        for folder in self.suite.folders:
            path = folder / "results" / self.plan.card.task / "runs" / f"{step.run_id}.json"
            if path.is_file():
                return read_record(path)
        return None

    def state(self, step: Step) -> State:
        """Whether a step has a record, and all that others need of it."""
        record = self.record(step)
        if record is None:
            return "resumes" if self.progress(step) else "to do"
        if record.status != "finished":
            return "done"
        readers = [other for other in self.plan.steps if step.run_id in other.needs]
        unread = [
            r for r in readers if self.record(r) is None and not r.can_read(self.suite, record)
        ]
        return "anew" if unread else "done"

    def states(self) -> dict[str, State]:
        """Run -> state."""
        return {step.run_id: self.state(step) for step in self.plan.steps}

    def progress(self, step: Step) -> int:
        """A number that changes with every checkpoint; 0 where there is none."""
        last = self.suite.artifacts(self.plan.card.task, step.run_id) / LAST
        return last.stat().st_mtime_ns if last.is_file() else 0

    def obstacle(self, step: Step, outcomes: Mapping[str, Outcome]) -> str | None:
        """Why a step whose components are over cannot be carried out."""
        for need in step.needs:
            record = self.record(self._step(need))
            outcome = outcomes.get(need)
            if outcome is not None and outcome.status == "failed":
                return f"needs {need}, which failed"
            if record is not None and record.status != "finished":
                return f"needs {need}, which {record.status}"
        return None

    def _step(self, run_id: str) -> Step:
        return next(step for step in self.plan.steps if step.run_id == run_id)
