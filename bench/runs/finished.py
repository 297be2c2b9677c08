"""A run that is over, brought back: its record, its configuration, its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.core.config import RunConfig, choices
from bench.core.errors import BenchError, nearest
from bench.core.record import Record
from bench.core.structs import to_struct
from bench.core.suite import Suite
from bench.data.corpora import Corpus
from bench.data.identity import check_same_data
from bench.models import MODELS
from bench.runs.fitting import fit_baseline
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of
from bench.tracking.tracker import NoTracker
from bench.training.checkpoint import WEIGHTS, load_weights
from bench.training.fit import evaluate
from bench.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A record of status `finished` with its complete configuration."""

    record: Record
    resolved: Resolved
    """As recorded; the name of the run is the record's own."""
    folder: Path
    """Its artifacts: weights, log-probabilities; they may be gone."""

    @property
    def id(self) -> str:
        return self.record.id


def find_run(suite: Suite, run_id: str, *, task: str | None = None) -> FinishedRun:
    """The finished run called `run_id`, or the only one whose name begins so.

    Raises BenchError for an unknown or ambiguous name and for a run that diverged or was made
    with another version of its card.
    """
    tasks = [task] if task is not None else list(suite.card_paths())
    records = {record.id: record for name in tasks for record in suite.records(name)}
    found = [run_id] if run_id in records else [name for name in records if name.startswith(run_id)]
    if len(found) > 1:
        raise BenchError(f"run {run_id!r} may be {' or '.join(found[:4])}: write more of its name")
    if not found or not run_id:
        where = f" of task {task!r}" if task is not None else ""
        hint = nearest(run_id, records) if records else "there are none yet"
        raise BenchError(f"no run {run_id!r}{where}, {hint} (see `bench list runs`)")
    return bring_back(suite, records[found[0]])


def bring_back(suite: Suite, record: Record) -> FinishedRun:
    """The run behind a record."""
    card = suite.card(record.task)
    if record.status != "finished":
        raise BenchError(f"run {record.id} {record.status}: it has no model to look at")
    if record.card_version != card.version:
        raise BenchError(
            f"run {record.id} was made with version {record.card_version} of task {card.task!r}, "
            f"the card's is {card.version}: run it again"
        )
    config = to_struct(record.config, RunConfig, where=f"record {record.id}")
    resolved = Resolved(
        card=card,
        config=config,
        choices=choices(config, {}),
        recipe=record.recipe,
        set_by_caller=record.set_by_caller,
    )
    return FinishedRun(
        record=record, resolved=resolved, folder=suite.artifacts(record.task, record.id)
    )


def is_evaluation(record: Record) -> bool:
    """Return True for the record of a `bench evaluate`."""
    return "evaluation" in record.config.get("objective", {})


def load_objective(finished: FinishedRun, corpus: Corpus) -> Objective:
    """The trained objective, in evaluation mode.

    Raises BenchError where its weights are gone, and where `corpus` is not what it was trained on.
    """
    require_weights(finished)
    check_same_data(finished.record.data, corpus.checksums, run=finished.id)
    kind = finished.resolved.objective_class()
    objective = kind(finished.resolved.config, corpus)
    objective.load_state_dict(load_weights(finished.folder))
    return objective.eval()


def regenerate(finished: FinishedRun, split: str, *, missing: Path) -> None:
    """Keep the outputs of `split` once more: a network evaluates it, a baseline is fitted again.

    Raises BenchError where the weights are gone, and for mixtures and evaluations, which have none;
    `missing` is the file that is named.
    """
    if finished.record.model == "mix" or is_evaluation(finished.record):
        verb = "mix" if finished.record.model == "mix" else "evaluate"
        raise BenchError(
            f"{missing} is missing: make {finished.id} again with `bench {verb} ... --again`"
        )
    if finished.resolved.is_baseline:
        finished.folder.mkdir(parents=True, exist_ok=True)
        corpus = corpus_of(finished.resolved)
        check_same_data(finished.record.data, corpus.checksums, run=finished.id)
        fit_baseline(finished.resolved, corpus, finished.folder, style="quiet", tracker=NoTracker())
        return
    require_weights(finished)  # before the corpus, which may be gone, too
    objective = load_objective(finished, corpus_of(finished.resolved))
    evaluate(objective, split, keep=finished.folder)


def require_weights(finished: FinishedRun) -> None:
    """Raise BenchError for a run that has no weights, and where they are gone."""
    if finished.record.model not in MODELS or is_evaluation(finished.record):
        raise BenchError(f"run {finished.id} has no weights of its own: name a trained run")
    if not (finished.folder / WEIGHTS).is_file():
        raise BenchError(
            f"run {finished.id}: {finished.folder / WEIGHTS} is missing; train it again with "
            "`bench run ... --again`"
        )
