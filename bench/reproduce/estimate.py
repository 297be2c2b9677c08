"""How long a run will take: from records where there are some, else from its FLOPs.

The basis of every figure is kept with it. Records may be another machine's; that is said, too.
"""

from __future__ import annotations

import heapq
import itertools
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import torch

from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.core.provenance import provenance
from bench.core.record import Record
from bench.data.corpora import Corpus
from bench.reproduce.plan import Plan
from bench.reproduce.session import Outcome, State
from bench.reproduce.steps import Evaluate, Learn, Step
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of
from bench.speed.steps import bare_step_sec, make_objective
from bench.training.objective import Objective

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
        return resolved.objective_class()(resolved.config, corpus)


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


# What a user sees of a plan: the runs, what they will take, how each of them ended.


NUM_LABELS = 2


def plan_text(
    plan: Plan,
    states: Mapping[str, State],
    estimates: Mapping[str, Estimate],
    *,
    num_workers: int,
) -> str:
    """A line for each configuration, the rows that are not planned, and the time it takes.

    `estimates` are those of the runs that are not done.
    """
    by_configuration: dict[str, list[Step]] = {}
    for step in plan.steps:
        by_configuration.setdefault(step.run_id.rpartition("-s")[0], []).append(step)
    lines = [_line(name, steps, states, estimates) for name, steps in by_configuration.items()]
    header = ("how", "run", "done", "to run", "each", "from", "rows")
    parts = [aligned(header, lines)] if lines else []
    parts += [_notes(plan)] if any(row.note for row in plan.rows) else []
    parts.append(_total(plan, states, estimates, num_workers))
    return "\n\n".join(parts)


def _line(
    name: str,
    steps: Sequence[Step],
    states: Mapping[str, State],
    estimates: Mapping[str, Estimate],
) -> tuple[str, ...]:
    done = [step.seed for step in steps if states[step.run_id] == "done"]
    left = [step for step in steps if states[step.run_id] != "done"]
    marks = Counter(states[step.run_id] for step in left)
    extra = [f"{count} {state}" for state, count in marks.items() if state in ("resumes", "anew")]
    to_run = seeds_text([step.seed for step in left])
    to_run += f" ({', '.join(extra)})" if extra else ""
    estimate = estimates[left[0].run_id] if left else None
    each = duration(estimate.seconds) if estimate else "-"
    basis = estimate.basis if estimate else "-"
    return (steps[0].verb, name, seeds_text(done), to_run, each, basis, _labels(steps[0].labels))


def _notes(plan: Plan) -> str:
    """Rows of which less than all is planned, by reason."""
    rows: dict[str, list[str]] = {}
    for row in plan.rows:
        if row.note:
            rows.setdefault(row.note, []).append(row.row.label)
    return "\n".join(f"{note} ({'; '.join(labels)})" for note, labels in rows.items())


def _total(
    plan: Plan,
    states: Mapping[str, State],
    estimates: Mapping[str, Estimate],
    num_workers: int,
) -> str:
    left = [step.run_id for step in plan.steps if states[step.run_id] != "done"]
    head = f"{len(plan.steps)} runs: {len(plan.steps) - len(left)} done, {len(left)} to do"
    found = [estimates[run_id].seconds for run_id in left]
    known = [seconds for seconds in found if seconds is not None]
    if not known:
        return head
    wall = wall_seconds(known, num_workers)
    text = f"{head}; about {duration(wall)}"
    if num_workers > 1:
        text += f" with {num_workers} workers if none slows another ({duration(sum(known))} in all)"
    bases = Counter(estimates[run_id].basis for run_id in left)
    unknown = bases.pop("unknown", 0)
    text += "; from " + ", ".join(f"{basis} ({count})" for basis, count in bases.items())
    if any(estimates[run_id].machine == "another" for run_id in left):
        text += ", partly of another machine"
    return text + (f"; {unknown} unknown and left out" if unknown else "")


def begun_line(step: Step) -> str:
    """One run that begins, for logs."""
    return f"{step.verb} {step.run_id}  {_labels(step.labels)}"


def outcome_line(outcome: Outcome, step: Step, *, place: int, total: int, metric: str) -> str:
    """One run that is over: which, for which row, how it ended."""
    head = f"[{place}/{total}] {outcome.run_id}  {_labels(step.labels)}"
    if outcome.status == "failed":
        return f"{head}  failed: {outcome.reason}"
    value = "diverged" if outcome.value is None else f"test {metric} {outcome.value:.2f}"
    return f"{head}  {value}  {duration(outcome.seconds)}"


def seeds_text(seeds: Sequence[int]) -> str:
    """`1-3, 5`; a dash for none."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    texts = [f"{p[0]}" if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts]
    return ", ".join(texts) or "-"


def duration(seconds: float | None) -> str:
    """`3 h 20 min`, `12 min`, `45 s`; a question mark where nothing is known."""
    if seconds is None:
        return "?"
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 1 else "< 1 s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours / 24:.1f} days"


def _labels(labels: Sequence[str]) -> str:
    shown = "; ".join(labels[:NUM_LABELS])
    return shown if len(labels) <= NUM_LABELS else f"{shown}; and {len(labels) - NUM_LABELS} more"
