"""How long a run will take: from records where there are some, else from its FLOPs.

The basis of every figure is kept with it. Records may be another machine's; that is said, too.
"""

from __future__ import annotations

import heapq
import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import torch

from bench.core.errors import BenchError
from bench.core.provenance import provenance
from bench.core.record import Record
from bench.domains import Corpus
from bench.reproduce.steps import Evaluate, Learn, Step
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of
from bench.speed.steps import bare_step_sec, make_objective
from bench.training.objective import Objective
from bench.training.objectives import objective_class

Basis = Literal["its other seeds", "records of the model", "speed measured now", "unknown"]
NUM_STEPS = 3
NUM_WARM_UP = 2


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds of one run, and what they rest on."""

    seconds: float | None
    basis: Basis
    machine: Literal["this", "another"] = "this"
    """Where the records were made."""


UNKNOWN = Estimate(seconds=None, basis="unknown")


@dataclass(kw_only=True)
class Estimator:
    """Estimates for the runs of one task."""

    records: Sequence[Record]
    cpu: str | int | None
    """This machine's, as in a record."""
    smallest: dict[str, Resolved] = field(default_factory=dict)
    """Model -> the configuration whose speed is measured where no record helps."""
    _corpora: dict[bytes, Corpus] = field(default_factory=dict)
    _rates: dict[str, float] = field(default_factory=dict)

    def estimate(self, step: Step) -> Estimate:
        """What a step will take."""
        configuration = step.run_id.rpartition("-s")[0]
        twins = [r for r in self.records if r.id.rpartition("-s")[0] == configuration]
        if twins:
            return self._mean(twins, "its other seeds")
        if isinstance(step, Learn) and step.verb == "train":
            try:
                return self._by_flops(step.resolved)
            except BenchError:  # the run itself will say what is wrong
                return UNKNOWN
        alike = [record for record in self.records if _alike(record, step)]
        return self._mean(alike, "records of the model") if alike else UNKNOWN

    def _mean(self, records: Sequence[Record], basis: Basis) -> Estimate:
        seconds = statistics.fmean(record.cost.seconds for record in records)
        return Estimate(seconds=seconds, basis=basis, machine=self._machine(records))

    def _machine(self, records: Sequence[Record]) -> Literal["this", "another"]:
        cpus = {record.provenance.hardware.get("cpu") for record in records}
        return "this" if cpus == {self.cpu} else "another"

    def _by_flops(self, resolved: Resolved) -> Estimate:
        """Training FLOPs over a rate: that of the model's records, else one measured now."""
        corpus = self._corpus(resolved)
        shapes = _shapes(resolved, corpus)
        per_unit, units = 3 * shapes.flops_per_unit(), shapes.num_train_units
        flops = float(per_unit * units * resolved.config.trainer.max_epochs)
        known = [r for r in self.records if _same_arithmetic(r, resolved)]
        if known:
            done = sum((r.cost.flops_per_token or 0) * units * len(r.curve) for r in known)
            seconds = flops / done * sum(r.cost.seconds for r in known)
            machine = self._machine(known)
            return Estimate(seconds=seconds, basis="records of the model", machine=machine)
        rate = self._measured_rate(str(resolved.config.model["name"]), corpus)
        return Estimate(seconds=flops / rate, basis="speed measured now")

    def _corpus(self, resolved: Resolved) -> Corpus:
        """The corpus, read once."""
        key = msgspec.json.encode(resolved.config.data)
        if key not in self._corpora:
            self._corpora[key] = corpus_of(resolved)
        return self._corpora[key]

    def _measured_rate(self, model: str, corpus: Corpus) -> float:
        """FLOPs a second over a few training steps of a model."""
        if model not in self._rates:
            objective = make_objective(self.smallest[model], corpus)
            batches = list(itertools.islice(objective.train_loader(), NUM_WARM_UP + NUM_STEPS))
            step_sec = bare_step_sec(objective, batches, skip=min(NUM_WARM_UP, len(batches) - 1))
            num_units = objective.units_in(batches[0])
            self._rates[model] = 3 * objective.flops_per_unit() * num_units / step_sec
        return self._rates[model]


def _shapes(resolved: Resolved, corpus: Corpus) -> Objective:
    with torch.device("meta"):  # shapes and no numbers
        return objective_class(resolved.objective)(resolved.config, corpus)


def estimate_all(steps: Sequence[Step], records: Sequence[Record]) -> dict[str, Estimate]:
    """Run -> estimate, for the steps of one task that are left."""
    if not steps:
        return {}
    trained = sorted((s.resolved for s in steps if s.verb == "train"), key=_size, reverse=True)
    estimator = Estimator(
        records=[record for record in records if record.status == "finished"],
        cpu=provenance().hardware.get("cpu"),
        smallest={str(resolved.config.model["name"]): resolved for resolved in trained},
    )
    return {step.run_id: estimator.estimate(step) for step in steps}


def _size(resolved: Resolved) -> float:
    """Orders configurations by what a step costs, roughly."""
    model = resolved.config.model
    return float(model.get("hidden_size") or 1) * float(model.get("num_layers") or 1)


def wall_seconds(seconds: Sequence[float], num_workers: int) -> float:
    """How long `num_workers` take who each take the next run, if none slows another."""
    ends = [0.0] * num_workers
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def _same_arithmetic(record: Record, resolved: Resolved) -> bool:
    """Whether a record's seconds say something about a configuration of the same model."""
    trainer = resolved.config.trainer
    theirs = record.config["trainer"]
    return (
        record.model == resolved.config.model["name"]
        and bool(record.curve and record.cost.flops_per_token)
        and "evaluation" not in record.config.get("objective", {})
        and theirs.get("products") == trainer.products
        and theirs.get("precision", "32") == trainer.precision
        and theirs.get("accelerator") == trainer.accelerator
    )


def _alike(record: Record, step: Step) -> bool:
    """Whether a record is of the step's kind, for what is counted, evaluated or mixed."""
    evaluation = record.config.get("objective", {}).get("evaluation")
    wanted = step.mode if isinstance(step, Evaluate) else None
    return record.model == step.model and evaluation == wanted
