"""`bench sync`: send to W&B what its server does not have of a suite's runs.

A run with a record has arrived when the server confirms the record's fingerprint, all rows of its
history and its end. Missing parts come from the offline file, which also holds the system metrics,
then from the journal and the record: losing either loses nothing, and sending again sends nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from bench.core.cards import Card
from bench.core.errors import BenchError
from bench.core.record import Record, Shelf, read_record
from bench.core.suite import Suite
from bench.tracking.guard import one_line, silent_logging
from bench.tracking.journal import rows_of
from bench.tracking.options import TrackOptions
from bench.tracking.tracker import TrackedRun
from bench.tracking.wandb_file import Start, num_history_rows, offline_files, read_start
from bench.tracking.wandb_run import WandbRun
from bench.tracking.wandb_server import (
    REPORTING,
    NoKeyError,
    WandbServer,
    entity_of,
    project_of,
)

Status = Literal["there", "sent", "not confirmed", "to send"]
Action = Literal["send", "look"]


@dataclass(frozen=True, kw_only=True)
class PendingRun:
    """A run that may have to be sent; without a record it has only its offline file."""

    card: Card
    run_id: str
    folder: Path
    record: Record | None
    start: Start

    @property
    def name(self) -> str:
        return f"{self.card.task}-{self.run_id}"


@dataclass(frozen=True, kw_only=True)
class SyncResult:
    """Outcome for one run."""

    name: str
    status: Status
    reason: str = ""


def sync(
    suite: Suite,
    tasks: tuple[str, ...],
    options: TrackOptions,
    *,
    runs: tuple[str, ...] = (),
    action: Action = "send",
    report: Callable[[SyncResult], None] | None = None,
) -> list[SyncResult]:
    """Send what W&B lacks of the runs in the suite's own folder; `look` only reports it.

    Raises BenchError for an unknown task or run, and if W&B cannot be asked at all.
    """
    waiting = list(pending_runs(suite, tasks, runs))
    if not waiting:
        return []
    entity, project = entity_of(options), project_of(options)
    folder = suite.folder / "artifacts"
    try:
        server = WandbServer(entity, project, folder=folder, timeout_sec=options.patience_sec)
    except BenchError as error:
        if action == "look" and isinstance(error.__cause__, NoKeyError):
            return _without_server(waiting, report)
        raise
    options = replace(options, entity=server.entity, project=project, mode="online")
    results = []
    for run in waiting:
        try:
            result = _sync_run(run, server, options, action)
        except BenchError as error:  # the next one may succeed
            result = SyncResult(name=run.name, status="not confirmed", reason=str(error))
        results.append(result)
        if report is not None:
            report(result)
    return results


def _without_server(
    waiting: Sequence[PendingRun], report: Callable[[SyncResult], None] | None
) -> list[SyncResult]:
    """Runs that are here, where nobody is logged in who could ask what the server has."""
    reason = "here; W&B is not asked without a key"
    results = [SyncResult(name=run.name, status="to send", reason=reason) for run in waiting]
    if report is not None:
        for result in results:
            report(result)
    return results


def pending_runs(
    suite: Suite, tasks: tuple[str, ...], runs: tuple[str, ...]
) -> Iterator[PendingRun]:
    """Runs in the suite's own folder: those with a record, and offline ones without.

    Raises BenchError for names that match nothing.
    """
    found = [
        run
        for task in (tasks or suite.card_paths())
        for run in _runs_of(suite, suite.card(task))
        if not runs or any(run.run_id.startswith(name) for name in runs)
    ]
    for name in runs:
        if not any(run.run_id.startswith(name) for run in found):
            raise BenchError(f"no run {name!r} in {suite.folder} (see `bench list runs`)")
    yield from found


def _runs_of(suite: Suite, card: Card) -> Iterator[PendingRun]:
    records: dict[str, Record] = {}
    shelves: tuple[Shelf, ...] = ("trials", "runs")  # a run with the test replaces its trial
    for shelf in shelves:
        folder = suite.record_path(card.task, "_", shelf).parent
        records.update({path.stem: read_record(path) for path in sorted(folder.glob("*.json"))})
    names = set(records)
    for path in suite.artifacts(card.task, "_").parent.glob("*/wandb"):
        names |= {path.parent.name} if offline_files(path.parent) else set()
    for name in sorted(names):
        folder = suite.artifacts(card.task, name)
        yield PendingRun(
            card=card,
            run_id=name,
            folder=folder,
            record=records.get(name),
            start=read_start(folder),
        )


def _sync_run(
    run: PendingRun, server: WandbServer, options: TrackOptions, action: Action
) -> SyncResult:
    missing = _missing(run, server, wait_sec=0)
    if missing is None:
        return SyncResult(name=run.name, status="there")
    if action == "look":
        return SyncResult(name=run.name, status="to send", reason=missing)
    # An offline file is replayed only if the server has nothing of the run; else it is resumed.
    pushes = [_push_file] if run.record is None or _is_new_file(run, server) else []
    pushes += [_push_record] if run.record is not None else []
    failure = ""
    for push in pushes:
        try:
            with silent_logging():
                push(run, options)
        except Exception as error:
            failure = one_line(error)
        # Only the server's answer counts, not the library's report of success.
        if (missing := _missing(run, server, wait_sec=options.patience_sec / 6)) is None:
            return SyncResult(name=run.name, status="sent")
    reason = failure or f"its server lacks {missing}"
    return SyncResult(name=run.name, status="not confirmed", reason=reason)


def _is_new_file(run: PendingRun, server: WandbServer) -> bool:
    return bool(offline_files(run.folder)) and server.find(run.name) is None


def _missing(run: PendingRun, server: WandbServer, *, wait_sec: float) -> str | None:
    """Part of the run that the server lacks; None if there is none."""
    if run.record is not None:
        num_rows = len(rows_of(run.record, run.folder))
        return server.missing(run.name, run.record, num_rows, wait_sec=wait_sec)
    num_rows = num_history_rows(offline_files(run.folder)[-1])
    if num_rows == 0:
        return None  # it was killed before it logged anything
    found = server.find(run.name)
    if found is None or found.num_rows < num_rows:
        return f"{found.num_rows if found else 0} of {num_rows} rows of its history"
    return None


def _push_file(run: PendingRun, options: TrackOptions) -> None:
    """Replay the last offline file."""
    place = ["--entity", str(options.entity), "--project", str(options.project)]
    file = str(offline_files(run.folder)[-1])
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", "--include-synced", "--yes", *place, file],
        stdin=subprocess.DEVNULL,
        env={**os.environ, REPORTING: "false", "WANDB_DIR": str(run.folder)},
        capture_output=True,
        text=True,
        timeout=20 * options.patience_sec,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["without a message"]
        raise OSError(f"wandb sync ended with {done.returncode}: {lines[-1].strip()}")


def _push_record(run: PendingRun, options: TrackOptions) -> None:
    """Resume the run on the server and log what it lacks."""
    assert run.record is not None
    wandb_run = WandbRun(tracked_run(run, run.record, options), mode="online")
    problems: list[str] = []
    wandb_run.start(rows_of(run.record, run.folder), problems.append)
    wandb_run.finish(run.record)
    if problems:
        raise OSError(problems[0])


def tracked_run(run: PendingRun, record: Record, options: TrackOptions) -> TrackedRun:
    """The run as its tracker saw it at its start, rebuilt from its record and `tracking.json`."""
    start = run.start
    return TrackedRun(
        card=run.card,
        run_id=run.run_id,
        config=record.config,
        recipe=record.recipe,
        folder=run.folder,
        job_type=options.job_type or start.job_type,
        group=start.group,
        tags=tuple(start.tags),
        provenance=record.provenance,
        options=replace(
            options,
            notes=options.notes or start.notes,
            artifacts=options.artifacts if options.sendable else start.artifacts,
        ),
    )
