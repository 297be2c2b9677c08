"""Evaluations of finished runs, one or several as an ensemble.

The record of an evaluation has the configuration of its first run with the options of the search,
and three more in `objective`: the mode as `evaluation`, the number of models as
`evaluation_models`, their names as `evaluation_of`. Seeds in these count from the first model's, so
that the ensembles of seeds 1 and 2 and of seeds 3 and 4 are two of one configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

import msgspec
import torch

from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.record import Cost
from bench.core.suite import Suite
from bench.data.corpora import Corpus
from bench.runs.finished import FinishedRun, find_run, load_objective, require_weights
from bench.runs.provenance import Stopwatch, cost_of
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of
from bench.tracking.tracker import Tracker
from bench.training.metrics import Score, SplitMetric
from bench.training.objective import Objective

Device = Literal["cpu", "gpu", "auto"]
ObjectiveT = TypeVar("ObjectiveT", bound=Objective)


@dataclass(frozen=True, kw_only=True)
class SearchOverrides:
    """Settings of the search; None keeps those of the first run."""

    beam_size: int | None = None
    length_penalty: Literal["none", "average", "gnmt"] | None = None
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.beam_size is not None and self.beam_size < 1:
            raise BenchError(f"--beam {self.beam_size}: give 1 or more")
        if self.alpha is not None and not 0 <= self.alpha < float("inf"):
            raise BenchError(f"--alpha {self.alpha:g}: give 0 or more")


def find_members(
    suite: Suite, names: Sequence[str], *, objectives: Sequence[str], task: str, act: str
) -> list[FinishedRun]:
    """Find finished runs of some objectives by name or prefix.

    `task` and `act` word the errors: `translation`, `translate`. Raises BenchError for no run, a
    run named twice, one of another objective and one without weights.
    """
    if not names:
        raise BenchError(f"name a finished run of a {task} task; see `bench list runs`")
    runs = [find_run(suite, name) for name in names]
    for place, finished in enumerate(runs):
        objective = finished.resolved.objective
        if objective not in objectives:
            raise BenchError(f"run {finished.id} is of {objective}: it does not {act}")
        if finished.id in [other.id for other in runs[:place]]:
            raise BenchError(f"run {finished.id} is named twice: an ensemble is of different runs")
        require_weights(finished)
    return runs


def in_order(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Sort by seed, then by name, so that the order of naming makes no other evaluation."""
    return sorted(runs, key=lambda run: (run.record.seed, run.id))


def search_options(first: FinishedRun, overrides: SearchOverrides) -> dict[str, Any]:
    """Options of a search: the overrides, and where these are None the first run's own."""
    usual = first.resolved.config.objective
    given = {field.name: getattr(overrides, field.name) for field in fields(overrides)}
    return {name: usual[name] if value is None else value for name, value in given.items()}


def load_members(
    runs: Sequence[FinishedRun], kind: type[ObjectiveT], *, device: Device
) -> list[ObjectiveT]:
    """Load the models of some runs; runs of the same data share one corpus."""
    corpora: dict[bytes, Corpus] = {}
    found = []
    for finished in runs:
        resolved = finished.resolved
        key = msgspec.json.encode([resolved.card.task, resolved.config.data])
        if key not in corpora:
            corpora[key] = corpus_of(resolved)
        objective = load_objective(finished, corpora[key])
        assert isinstance(objective, kind)
        found.append(objective.to(_device(device)))
    return found


def _device(name: Device) -> torch.device:
    if name == "gpu" and not torch.cuda.is_available():
        raise BenchError("--device gpu, but torch sees none: use cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def resolve_members(
    runs: Sequence[FinishedRun], mode: str, settings: Mapping[str, Scalar]
) -> Resolved:
    """Configuration of an evaluation: the first model's, with those `settings` that differ."""
    base = runs[0].resolved
    usual = base.config.objective
    added: dict[str, Scalar] = {
        "evaluation": mode,
        "evaluation_of": _members(runs),
        "evaluation_models": len(runs),
        **{key: value for key, value in settings.items() if value != usual.get(key)},
    }
    config = msgspec.structs.replace(base.config, objective={**usual, **added})
    keys = {f"objective.{key}": value for key, value in added.items()}
    return Resolved(
        card=base.card,
        config=config,
        choices=keys,
        recipe=runs[0].record.recipe,
        set_by_caller=sorted({*runs[0].record.set_by_caller, *keys}),
    )


def _members(runs: Sequence[FinishedRun]) -> str:
    """Names such as `gru-9d0e1f2a`, or `gru-9d0e1f2a[0,1]` for two of its seeds, between blanks."""
    distances: dict[str, list[str]] = {}
    for one in runs:
        distance = one.record.seed - runs[0].record.seed
        distances.setdefault(one.id.rpartition("-s")[0], []).append(str(distance))
    return " ".join(
        stem if found == ["0"] else f"{stem}[{','.join(found)}]"
        for stem, found in distances.items()
    )


def ensemble_outcome(
    metric: SplitMetric,
    scores: Mapping[str, Score],
    runs: Sequence[FinishedRun],
    *,
    bound: float | None,
    stopwatch: Stopwatch,
    tracker: Tracker,
) -> Outcome:
    """Log the score of each split, and make the outcome of the evaluation of `runs`."""
    metrics, beside = dict[str, float](), dict[str, dict[str, float]]()
    for split, score in scores.items():
        metrics[split] = score.value
        for signature, value in score.beside.items():
            beside.setdefault(signature, {})[split] = value
    tracker.log({f"final/{split}": value for split, value in metrics.items()}, step=0)
    return Outcome(
        metrics=metrics,
        metric=metric.name,
        signature=metric.signature,
        bound=bound,
        cost=cost_of_members(runs, stopwatch),
        beside=beside,
    )


def cost_of_members(runs: Sequence[FinishedRun], stopwatch: Stopwatch) -> Cost:
    """Cost of an evaluation since `stopwatch` was started, with the weights of all members."""
    return cost_of(stopwatch, num_parameters=sum(one.record.cost.num_parameters for one in runs))
