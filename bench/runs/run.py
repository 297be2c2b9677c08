"""run(resolved) -> Record: where card, corpus, model, objective and record meet."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
import torch

from bench.core.config import TrainerConfig, num_processes
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.ranks import ALONE, Rank, find_rank
from bench.core.record import Provenance, Record, Shelf, read_record, write_record
from bench.core.suite import Suite
from bench.data.corpora import Corpus, distinctions, load_corpus
from bench.data.identity import corpus_identity, data_identity
from bench.runs.fitting import fit_baseline
from bench.runs.lineage import check_sources
from bench.runs.provenance import forget_peak_memory, provenance
from bench.runs.resolve import Resolved
from bench.runs.run_folder import check_writable, empty, first_started, held
from bench.tracking.guard import start_tracker
from bench.tracking.options import DEFAULTS, Kind, TrackOptions
from bench.tracking.tracker import TrackedRun, Tracker
from bench.training.callbacks import PrunedError, Report
from bench.training.precision import set_float32
from bench.training.process_group import ProcessGroup
from bench.training.progress import Style
from bench.training.train import Flops, train, train_worker

# Ranks of a run's processes.


ONE_DEVICE = "leave out --trainer.devices and --trainer.num-nodes"


def rank_of(resolved: Resolved) -> Rank | None:
    """This process's rank in the run; None where its processes are yet to be started.

    Raises BenchError for processes that were started in another number than the run asks for.
    """
    trainer = resolved.config.trainer
    return find_rank(os.environ, devices=trainer.devices, num_nodes=trainer.num_nodes)


def check_one_process(resolved: Resolved, *, why: str) -> None:
    """Raise BenchError, saying `why`, for a run of several processes."""
    if num_processes(resolved.config.trainer) > 1:
        raise BenchError(f"{why}: {ONE_DEVICE}")


# From the numbers of a run to its record.


def record_of(
    resolved: Resolved,
    outcome: Outcome,
    corpus: Corpus,
    *,
    made_by: Provenance,
    started: str,
    shelf: Shelf,
) -> Record:
    """The record of what was started then and is finished now."""
    config, card = resolved.config, resolved.card
    hardware = {**made_by.hardware, **outcome.hardware}
    return Record(
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
        provenance=msgspec.structs.replace(made_by, products=outcome.products, hardware=hardware),
        started=started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        status="diverged" if outcome.divergence else "pruned" if outcome.pruned else "finished",
        signature=_qualified(outcome.signature, resolved, corpus),
        metrics=outcome.metrics,
        curve=outcome.curve,
        divergence=outcome.divergence,
        cost=outcome.cost,
        extra=outcome.extra,
        beside=outcome.beside,
    )


def _qualified(signature: str, resolved: Resolved, corpus: Corpus) -> str:
    """Signature with what tells one user's data from another's: numbers never share a column."""
    identity = corpus_identity(resolved.card, resolved.config.data)
    if identity is None or f"|corpus:{identity}" in signature:
        return signature
    facts = {**distinctions(corpus), "corpus": identity}
    return "|".join([signature, *(f"{name}:{value}" for name, value in facts.items())])


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run that cannot change a number: display, tracking, restarts."""

    style: Style = "quiet"
    track: Kind = "none"
    tracking: TrackOptions = DEFAULTS
    group: str | None = None
    tags: tuple[str, ...] = ()
    again: bool = False
    """Throw away the record and the checkpoints of this configuration first."""
    busy: Callable[[str], None] | None = None
    """Called with one line when another process holds this run; then it is waited for."""
    flops: Flops = "formula"


class Work(Protocol):
    """Function that produces the results of a run; heavy output goes to `folder`."""

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
    resolved: Resolved,
    suite: Suite,
    run_options: RunOptions | None = None,
    *,
    work: Work | None = None,
) -> Record:
    """Carry out one configuration, or return its record when it has been carried out before.

    An interrupted run goes on from its last checkpoint, and so does what a sweep's trial has
    begun. A second process with the same configuration waits for the first and returns its
    record. `work` is training or counting, as the model asks, unless given. Of several processes
    the first calls this, once `bench run`, torchrun or srun has started them; the others follow.
    """
    path = suite.record_path(resolved.card.task, resolved.run_id)

    def known() -> Record | None:
        return read_record(path) if path.exists() else None

    run_options = run_options or RunOptions()
    if work is not None:
        return _once(resolved, suite, run_options, known, work=work, shelf="runs")
    if (rank := rank_of(resolved)) is None:
        if not run_options.again and (record := known()):
            return record
        check_one_process(resolved, why="`bench run`, torchrun or srun starts several processes")
    process_group = ProcessGroup(rank or ALONE, run=resolved.run_id)
    try:
        work = learning(resolved, flops=run_options.flops, process_group=process_group)
        return _once(resolved, suite, run_options, known, work=work, shelf="runs")
    finally:
        process_group.dismiss()


def run_trial(
    resolved: Resolved, suite: Suite, run_options: RunOptions | None = None, *, report: Report
) -> Record:
    """Carry out one configuration as a trial: trained and validated, never measured on test.

    `report` is told of every validation, also where a run or a trial of the same configuration
    has been carried out before, and may end the trial. `run` with the same configuration has
    only the measuring left to do.
    """
    check_one_process(resolved, why="a trial trains on one device, several workers side by side")
    task, run_id = resolved.card.task, resolved.run_id
    whole, path = suite.record_path(task, run_id), suite.record_path(task, run_id, "trials")

    def known() -> Record | None:
        for place in (whole, path):
            if place.exists() and _is_settled(record := read_record(place), report):
                return record
        return None

    run_options = run_options or RunOptions()
    work = learning(resolved, report=report, flops=run_options.flops)
    return _once(resolved, suite, run_options, known, work=work, shelf="trials")


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
    run_options: RunOptions,
    known: Callable[[], Record | None],
    *,
    work: Work,
    shelf: Shelf,
) -> Record:
    """Return the record that is `known`, or else carry out `work` and record it."""
    task, run_id = resolved.card.task, resolved.run_id
    path, folder = suite.record_path(task, run_id, shelf), suite.artifacts(task, run_id)
    if not run_options.again and (record := known()):
        return record
    for place in (path.parent, folder):
        check_writable(place)
    with held(folder, busy=lambda: _tell_busy(run_options, run_id)):
        if run_options.again:
            for each in (path, suite.record_path(task, run_id, "trials")):
                each.unlink(missing_ok=True)
            empty(folder)
        if record := known():
            return record
        started = first_started(folder)
        record, tracker = _carry_out(resolved, suite, started, run_options, work, shelf)
        write_record(record, path.parent)
        tracker.finish(record)  # after the record is safe
        return record


def _tell_busy(run_options: RunOptions, run_id: str) -> None:
    if run_options.busy:
        run_options.busy(f"another process is at run {run_id}; waiting for it to end")


def learning(
    resolved: Resolved,
    *,
    report: Report | None = None,
    flops: Flops = "formula",
    process_group: ProcessGroup | None = None,
) -> Work:
    """Work of a model: fitting or training; on validation alone with a `report`."""
    settings: dict[str, Any] = {} if report is None else {"splits": ("valid",)}
    if resolved.is_baseline:
        return functools.partial(fit_baseline, **settings)
    if report is not None:
        settings["report"] = report
    if flops != "formula":
        settings["flops"] = flops
    if process_group is not None and process_group.rank.size > 1:
        settings["process_group"] = process_group
    return functools.partial(train, **settings)


def corpus_of(resolved: Resolved, *, style: Style = "quiet") -> Corpus:
    """The corpus that a configuration names; `style` shows the making of features."""
    return load_corpus(resolved.card, resolved.config.data, style=style)


def set_machine(trainer: TrainerConfig) -> None:
    """Precision and threads that are asked for; several processes share the cores of their node."""
    set_float32(trainer)
    if trainer.threads:
        torch.set_num_threads(trainer.threads)
    elif num_processes(trainer) > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // trainer.devices))


def _carry_out(
    resolved: Resolved,
    suite: Suite,
    started: str,
    run_options: RunOptions,
    work: Work,
    shelf: Shelf,
) -> tuple[Record, Tracker]:
    set_machine(resolved.config.trainer)
    corpus = corpus_of(resolved, style=run_options.style)
    _check_unchanged(resolved)
    check_sources(resolved, suite, corpus)
    folder = suite.artifacts(resolved.card.task, resolved.run_id)
    made_by = provenance()  # before the work: the checkout may move on while a run goes on
    tracked_run = TrackedRun(
        card=resolved.card,
        run_id=resolved.run_id,
        config=msgspec.to_builtins(resolved.config),
        recipe=resolved.recipe,
        folder=folder,
        job_type=run_options.tracking.job_type or _job_type(resolved, shelf),
        group=run_options.group,
        tags=run_options.tags,
        provenance=made_by,
        options=run_options.tracking,
    )
    tracker = start_tracker(run_options.track, tracked_run)
    forget_peak_memory()  # of earlier runs of this process, as a sweep's worker has them
    try:
        outcome = work(resolved, corpus, folder, style=run_options.style, tracker=tracker)
    except BaseException:
        tracker.abandon()
        raise
    record = record_of(resolved, outcome, corpus, made_by=made_by, started=started, shelf=shelf)
    return record, tracker


def _check_unchanged(resolved: Resolved) -> None:
    """Refuse own data that changed after the run was named by it."""
    if data_identity(resolved.card, resolved.config.data) != resolved.data_identity:
        raise BenchError(
            f"{resolved.config.data.path}: the data changed while it was read: start the same "
            "command again"
        )


def _job_type(resolved: Resolved, shelf: Shelf) -> str:
    if shelf == "trials":
        return "trial"
    if "evaluation" in resolved.config.objective:
        return "evaluation"
    return "counting" if resolved.is_baseline else "training"


# The processes of a run that are not its first: they train along and record nothing.


def run_worker(resolved: Resolved, suite: Suite, rank: Rank) -> None:
    """Train along as the first process says, which holds the run's folder; over when training is.

    All processes see the suite's folder, where the checkpoint lies, under the same path.
    """
    process_group = ProcessGroup(rank, run=resolved.run_id)
    if not process_group.is_called():
        return
    set_machine(resolved.config.trainer)
    corpus = corpus_of(resolved)  # which the first process has prepared
    train_worker(
        resolved, corpus, suite.artifacts(resolved.card.task, resolved.run_id), process_group
    )
