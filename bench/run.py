"""run(resolved) -> Record: where card, corpus, model, objective and record meet."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
import torch
from filelock import FileLock, Timeout

from bench.baselines import BASELINES
from bench.baselines.counting import count
from bench.data.corpus import Corpus, load_corpus
from bench.errors import BenchError
from bench.outcome import Outcome
from bench.provenance import forget_peak_memory, provenance
from bench.record import Record, Shelf, read_record, write_record
from bench.resolve import Resolved
from bench.suite import Suite
from bench.track import Kind, Tracker, make_tracker
from bench.training.progress import Style
from bench.training.report import PrunedError, Report
from bench.training.train import train


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How a run behaves towards its surroundings; nothing here can change a number."""

    style: Style = "quiet"
    track: Kind = "none"
    group: str | None = None
    tags: tuple[str, ...] = ()
    again: bool = False
    """Throw away the record and the checkpoints of this configuration first."""
    busy: Callable[[str], None] | None = None
    """Called with one line when another process holds this run; then it is waited for."""


class Work(Protocol):
    """What makes the numbers of a run; heavy output goes to `folder`."""

    def __call__(
        self,
        resolved: Resolved,
        corpus: Corpus,
        folder: Path,
        *,
        style: Style,
        tracker: Tracker,
    ) -> Outcome: ...


def run(
    resolved: Resolved, suite: Suite, manners: Manners | None = None, *, work: Work | None = None
) -> Record:
    """Carry out one configuration, or return its record when it has been carried out before.

    An interrupted run goes on from its last checkpoint, and so does what a sweep's trial has
    begun. A second process with the same configuration waits for the first and returns its
    record. `work` is training or counting, as the model asks, unless given.
    """
    path = suite.record_path(resolved.card.task, resolved.run_id)

    def known() -> Record | None:
        return read_record(path) if path.exists() else None

    return _once(
        resolved, suite, manners or Manners(), known, work=work or learning(resolved), shelf="runs"
    )


def run_trial(
    resolved: Resolved, suite: Suite, manners: Manners | None = None, *, report: Report
) -> Record:
    """Carry out one configuration as a trial: trained and validated, never measured on test.

    `report` is told of every validation, also where a run or a trial of the same configuration
    has been carried out before, and may end the trial. `run` with the same configuration has
    only the measuring left to do.
    """
    task, run_id = resolved.card.task, resolved.run_id
    whole, path = suite.record_path(task, run_id), suite.record_path(task, run_id, "trials")

    def known() -> Record | None:
        for place in (whole, path):
            if place.exists() and _is_settled(record := read_record(place), report):
                return record
        return None

    work = learning(resolved, report=report)
    return _once(resolved, suite, manners or Manners(), known, work=work, shelf="trials")


def _is_settled(record: Record, report: Report) -> bool:
    """Tell a record's validations; whether it is the end, for this sweep, of its training.

    What another sweep pruned goes on from its checkpoint unless this one prunes it, too.
    """
    for point in record.curve:
        try:
            report(point.epoch, point.valid)
        except PrunedError:
            if record.status == "pruned":
                return True
    return record.status != "pruned"


def _once(
    resolved: Resolved,
    suite: Suite,
    manners: Manners,
    known: Callable[[], Record | None],
    *,
    work: Work,
    shelf: Shelf,
) -> Record:
    """What is `known` of the configuration; where that is nothing, what `work` makes of it."""
    task, run_id = resolved.card.task, resolved.run_id
    path, folder = suite.record_path(task, run_id, shelf), suite.artifacts(task, run_id)
    if not manners.again and (record := known()):
        return record
    for place in (path.parent, folder):
        _check_writable(place)
    with _held(folder / ".lock", manners, run_id):
        if manners.again:
            for each in (path, suite.record_path(task, run_id, "trials")):
                each.unlink(missing_ok=True)
            _empty(folder)
        if record := known():
            return record
        started = _now(folder)
        record = _carry_out(resolved, folder, started, manners, work, shelf)
        write_record(record, path.parent)
        return record


def _check_writable(folder: Path) -> None:
    """Refuse before training what would fail after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchError(
            f"{folder}: cannot write here ({error.strerror}): name another folder with --suite"
        ) from None


def _held(lock_path: Path, manners: Manners, run_id: str) -> Any:
    lock = FileLock(lock_path)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        if manners.busy:
            manners.busy(f"another process is at run {run_id}; waiting for it to end")
        return lock.acquire()


def _empty(folder: Path) -> None:
    for item in folder.iterdir():
        if item.name != ".lock":
            shutil.rmtree(item) if item.is_dir() else item.unlink()


def _now(folder: Path) -> str:
    """When the run was first started, over all its sittings."""
    stamp = folder / "started"
    if not stamp.exists():
        stamp.write_text(datetime.now(UTC).isoformat(timespec="seconds"))
    return stamp.read_text()


def learning(resolved: Resolved, *, report: Report | None = None) -> Work:
    """How the model learns, by counting or by gradient; on validation alone with a `report`."""
    is_counting = resolved.config.model["name"] in BASELINES
    if report is None:
        return count if is_counting else train
    if is_counting:
        return functools.partial(count, splits=("valid",))
    return functools.partial(train, splits=("valid",), report=report)


def corpus_of(resolved: Resolved, *, style: Style = "quiet") -> Corpus:
    """The corpus that a configuration names; `style` shows the making of features."""
    card, data = resolved.card, resolved.config.data
    return load_corpus(
        card.corpus,
        task=card.task,
        twin=card.twin,
        path=Path(data.path) if data.path else None,
        minimum_count=data.minimum_count,
        download=data.download,
        on_bad=data.on_bad,
        segmentation=data.segmentation,
        languages=data.languages,
        features=data.features,
        style=style,
    )


def _carry_out(
    resolved: Resolved, folder: Path, started: str, manners: Manners, work: Work, shelf: Shelf
) -> Record:
    config, card = resolved.config, resolved.card
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    corpus = corpus_of(resolved, style=manners.style)
    tracker = make_tracker(manners.track, resolved, folder, group=manners.group, tags=manners.tags)
    forget_peak_memory()  # of earlier runs of this process, as a sweep's worker has them
    made_by = provenance()  # before the work: the checkout may move on while a run goes on
    try:
        outcome = work(resolved, corpus, folder, style=manners.style, tracker=tracker)
    except BaseException:
        tracker.abandon()
        raise
    record = Record(
        id=resolved.run_id,
        task=card.task,
        card_version=card.version,
        seed=config.seed,
        metric=outcome.metric,
        bound=outcome.bound if shelf == "runs" else None,
        config=msgspec.to_builtins(config),
        digest=resolved.digest,
        set_by_caller=resolved.set_by_caller,
        recipe=resolved.recipe,
        data=dict(corpus.checksums),
        provenance=msgspec.structs.replace(made_by, products=outcome.products),
        started=started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        status="diverged" if outcome.divergence else "pruned" if outcome.pruned else "finished",
        signature=outcome.signature,
        metrics=outcome.metrics,
        curve=outcome.curve,
        divergence=outcome.divergence,
        cost=outcome.cost,
        extra=outcome.extra,
        beside=outcome.beside,
    )
    tracker.finish(record)
    return record
