"""`bench sync`: what was measured goes to W&B later, and is believed there when the server says so.

A run with a record is there when its server confirms the record's fingerprint, all rows of its
history and its end. What it lacks comes from the offline file, which also has what the machine was
doing, then from the journal and the record; so nothing is lost with either, and pushing again
pushes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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
from bench.tracking.tracker import Tracked
from bench.tracking.wandb_file import Start, num_history_rows, offline_files, read_start
from bench.tracking.wandb_run import WandbRun
from bench.tracking.wandb_server import REPORTING, WandbServer, entity_of, project_of

Told = Literal["there", "sent", "not confirmed", "to send"]


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A run that may have to be sent; one without a record has only its offline file."""

    card: Card
    run_id: str
    folder: Path
    record: Record | None
    start: Start

    @property
    def name(self) -> str:
        return f"{self.card.task}-{self.run_id}"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of one run."""

    name: str
    told: Told
    why: str = ""


def sync(
    suite: Suite,
    tasks: tuple[str, ...],
    options: TrackOptions,
    *,
    runs: tuple[str, ...] = (),
    act: Literal["send", "look"] = "send",
    say: Callable[[Sent], None] | None = None,
) -> list[Sent]:
    """Send what W&B lacks of the runs of `suite`'s own folder; with `look` only say what that is.

    Raises BenchError for an unknown task or run, and where W&B cannot be asked at all.
    """
    waiting = list(pending(suite, tasks, runs))
    if not waiting:
        return []
    entity, project = entity_of(options), project_of(options)
    folder = suite.folder / "artifacts"
    server = WandbServer(entity, project, folder=folder, timeout_sec=options.patience_sec)
    options = replace(options, entity=server.entity, project=project, mode="online")
    told = []
    for one in waiting:
        told.append(_told(one, server, options, act))
        if say is not None:
            say(told[-1])
    return told


def pending(suite: Suite, tasks: tuple[str, ...], runs: tuple[str, ...]) -> Iterator[Pending]:
    """The runs of a suite's own folder: those with a record, and those kept offline without one.

    Raises BenchError for names that nothing goes by.
    """
    cards = suite.card_paths()
    found = [
        one
        for task in (tasks or cards)
        for one in _of_task(suite, suite.card(task))
        if not runs or any(one.run_id.startswith(run) for run in runs)
    ]
    for run in runs:
        if not any(one.run_id.startswith(run) for one in found):
            raise BenchError(f"no run {run!r} in {suite.folder} (see `bench list runs`)")
    yield from found


def _of_task(suite: Suite, card: Card) -> Iterator[Pending]:
    records: dict[str, Record] = {}
    shelves: tuple[Shelf, ...] = ("trials", "runs")  # a run with the test above its trial
    for shelf in shelves:
        folder = suite.record_path(card.task, "_", shelf).parent
        records.update({path.stem: read_record(path) for path in sorted(folder.glob("*.json"))})
    names = set(records)
    for path in suite.artifacts(card.task, "_").parent.glob("*/wandb"):
        names |= {path.parent.name} if offline_files(path.parent) else set()
    for name in sorted(names):
        folder = suite.artifacts(card.task, name)
        yield Pending(
            card=card,
            run_id=name,
            folder=folder,
            record=records.get(name),
            start=read_start(folder),
        )


def _told(
    one: Pending, server: WandbServer, options: TrackOptions, act: Literal["send", "look"]
) -> Sent:
    try:
        return _sent(one, server, options, act)
    except BenchError as error:  # the next one may fare better
        return Sent(name=one.name, told="not confirmed", why=str(error))


def _sent(
    one: Pending, server: WandbServer, options: TrackOptions, act: Literal["send", "look"]
) -> Sent:
    missing = _missing(one, server, wait_sec=0)
    if missing is None:
        return Sent(name=one.name, told="there")
    if act == "look":
        return Sent(name=one.name, told="to send", why=missing)
    failure = ""
    for push in _ways(one, server):
        try:
            with silent_logging():
                push(one, options)
        except Exception as error:
            failure = one_line(error)
        # What the library says of its success counts for nothing.
        if (missing := _missing(one, server, wait_sec=options.patience_sec / 6)) is None:
            return Sent(name=one.name, told="sent")
    return Sent(name=one.name, told="not confirmed", why=failure or f"its server lacks {missing}")


def _ways(one: Pending, server: WandbServer) -> list[Callable[[Pending, TrackOptions], None]]:
    """Replaying a file is for a run that is not there at all; one that is there in part goes on."""
    if one.record is None:
        return [_push_file]
    is_new = server.known(one.name) is None
    return [*([_push_file] if is_new and offline_files(one.folder) else []), _push_record]


def _missing(one: Pending, server: WandbServer, *, wait_sec: float) -> str | None:
    if one.record is not None:
        num_rows = len(rows_of(one.record, one.folder))
        return server.lacks(one.name, one.record, num_rows, wait_sec=wait_sec)
    known = server.known(one.name)
    num_rows = num_history_rows(offline_files(one.folder)[-1])
    if num_rows == 0:
        return None  # it was killed before it said anything
    if known is None or known.num_rows < num_rows:
        return f"{known.num_rows if known else 0} of {num_rows} rows of its history"
    return None


def _push_file(one: Pending, options: TrackOptions) -> None:
    """Replay the last offline file."""
    assert options.entity is not None
    assert options.project is not None
    words = ["--include-synced", "--yes", "--entity", options.entity, "--project", options.project]
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", *words, str(offline_files(one.folder)[-1])],
        stdin=subprocess.DEVNULL,
        env={**os.environ, REPORTING: "false", "WANDB_DIR": str(one.folder)},
        capture_output=True,
        text=True,
        timeout=20 * options.patience_sec,
        check=False,
    )
    if done.returncode:
        raise OSError(f"wandb sync ended with {done.returncode}: {_last_line(done.stderr)}")


def _push_record(one: Pending, options: TrackOptions) -> None:
    """Go on with the run as it is on the server, and tell what it lacks."""
    assert one.record is not None
    run = WandbRun(tracked_of(one, options), mode="online")
    problems: list[str] = []

    def warn(line: str) -> None:
        problems.append(line)

    run.start(rows_of(one.record, one.folder), warn)
    run.finish(one.record)
    if problems:
        raise OSError(problems[0])


def tracked_of(one: Pending, options: TrackOptions) -> Tracked:
    """What a tracker was told at the run's beginning, from what was kept of it."""
    assert one.record is not None
    start = one.start
    return Tracked(
        card=one.card,
        run_id=one.run_id,
        config=one.record.config,
        recipe=one.record.recipe,
        folder=one.folder,
        job_type=options.job_type or start.job_type,
        group=start.group,
        tags=tuple(start.tags),
        provenance=one.record.provenance,
        options=replace(
            options,
            notes=options.notes or start.notes,
            artifacts=options.artifacts if options.sendable else start.artifacts,
        ),
    )


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
