"""run(resolved) -> Record: where card, corpus, model, objective and record meet."""

from __future__ import annotations

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
from bench.data.corpus import load_corpus
from bench.data.text import TextCorpus
from bench.errors import BenchError
from bench.outcome import Outcome
from bench.provenance import provenance
from bench.record import Record, read_record, write_record
from bench.resolve import Resolved
from bench.suite import Suite
from bench.track import Kind, Tracker, make_tracker
from bench.training.progress import Style
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
        corpus: TextCorpus,
        folder: Path,
        *,
        style: Style,
        tracker: Tracker,
    ) -> Outcome: ...


def run(
    resolved: Resolved, suite: Suite, manners: Manners | None = None, *, work: Work | None = None
) -> Record:
    """Carry out one configuration, or return its record when it has been carried out before.

    An interrupted run goes on from its last checkpoint. A second process with the same
    configuration waits for the first and returns its record. `work` is training or counting, as
    the model asks, unless given.
    """
    manners = manners or Manners()
    task, run_id = resolved.card.task, resolved.run_id
    path = suite.record_path(task, run_id)
    folder = suite.artifacts(task, run_id)
    if path.exists() and not manners.again:
        return read_record(path)
    for place in (path.parent, folder):
        _check_writable(place)
    with _held(folder / ".lock", manners, run_id):
        if manners.again:
            path.unlink(missing_ok=True)
            _empty(folder)
        if path.exists():
            return read_record(path)
        started = _now(folder)
        record = _carry_out(resolved, folder, started, manners, work or learning(resolved))
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


def learning(resolved: Resolved) -> Work:
    """How the model learns: by counting or by gradient."""
    return count if resolved.config.model["name"] in BASELINES else train


def corpus_of(resolved: Resolved) -> TextCorpus:
    """The corpus that a configuration names."""
    card, data = resolved.card, resolved.config.data
    return load_corpus(
        card.corpus,
        task=card.task,
        twin=card.twin,
        path=Path(data.path) if data.path else None,
        minimum_count=data.minimum_count,
        download=data.download,
    )


def _carry_out(
    resolved: Resolved, folder: Path, started: str, manners: Manners, work: Work
) -> Record:
    config, card = resolved.config, resolved.card
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    corpus = corpus_of(resolved)
    tracker = make_tracker(manners.track, resolved, folder, group=manners.group, tags=manners.tags)
    made_by = provenance()  # before the work: the checkout may move on while a run goes on
    outcome = work(resolved, corpus, folder, style=manners.style, tracker=tracker)
    bound = (corpus.bound_nats or {}).get("test")
    record = Record(
        id=resolved.run_id,
        task=card.task,
        card_version=card.version,
        seed=config.seed,
        metric=card.metric.name,
        bound=None if bound is None else outcome.metric_value(bound),
        config=msgspec.to_builtins(config),
        digest=resolved.digest,
        set_by_caller=resolved.set_by_caller,
        recipe=resolved.recipe,
        data=dict(corpus.checksums),
        provenance=msgspec.structs.replace(made_by, products=outcome.products),
        started=started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        status="diverged" if outcome.divergence else "finished",
        signature=outcome.signature,
        metrics=outcome.metrics,
        curve=outcome.curve,
        divergence=outcome.divergence,
        cost=outcome.cost,
        extra=outcome.extra,
    )
    tracker.finish(record)
    return record
