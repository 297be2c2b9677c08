"""Finished runs at work together: found by name, loaded, and recorded as one evaluation.

The record of an evaluation has the configuration of its first run but for the options of the
search, and in `objective` how it was made: `evaluation`, the number of models as
`evaluation_models` and which ones as `evaluation_of`. There seeds are counted from the first
model's, so that the ensembles of seeds 1 and 2 and of seeds 3 and 4 are two of one configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

import msgspec
import torch

from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.core.provenance import Stopwatch, cost_of
from bench.core.record import Cost
from bench.core.suite import Suite
from bench.data.corpora import Corpus
from bench.runs.finished import FinishedRun, find_run, load_objective, require_weights
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of
from bench.training.objective import Objective

Device = Literal["cpu", "gpu", "auto"]
ObjectiveT = TypeVar("ObjectiveT", bound=Objective)


@dataclass(frozen=True, kw_only=True)
class SearchOverrides:
    """How to search; what is None is as the first run was measured."""

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
    """Finished runs of some objectives by name, or how it begins.

    `task` and `act` say in words what is looked for: `translation`, `translate`. Raises BenchError
    for no run, a run named twice, one of another objective and one without weights.
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
    """By seed, then by name: however they were named, their evaluation is the same."""
    return sorted(runs, key=lambda run: (run.record.seed, run.id))


def wished(first: FinishedRun, wishes: SearchOverrides) -> dict[str, Any]:
    """The options of a search: as wished, and where that is None as the first run was measured."""
    usual = first.resolved.config.objective
    wanted = {field.name: getattr(wishes, field.name) for field in fields(wishes)}
    return {name: usual[name] if value is None else value for name, value in wanted.items()}


def load_members(
    runs: Sequence[FinishedRun], kind: type[ObjectiveT], *, device: Device
) -> list[ObjectiveT]:
    """The models of some runs; runs of the same data share one corpus."""
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
    """The configuration of an evaluation: the first model's, with those `settings` that differ."""
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
    """`gru-9d0e1f2a` alone, `gru-9d0e1f2a[0,1]` for two of its seeds, several with blanks."""
    distances: dict[str, list[str]] = {}
    for one in runs:
        distance = one.record.seed - runs[0].record.seed
        distances.setdefault(one.id.rpartition("-s")[0], []).append(str(distance))
    return " ".join(
        stem if found == ["0"] else f"{stem}[{','.join(found)}]"
        for stem, found in distances.items()
    )


def cost_of_members(runs: Sequence[FinishedRun], stopwatch: Stopwatch) -> Cost:
    """What their evaluation took since it was `stopwatch`, and all their weights."""
    return cost_of(stopwatch, num_parameters=sum(one.record.cost.num_parameters for one in runs))
