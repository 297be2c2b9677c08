"""Estimates of the duration of runs, from records or else from FLOPs, and the text of a plan.

Each estimate keeps its basis, and says if its records come from another machine.
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
from bench.core.record import Record
from bench.data.corpora import Corpus
from bench.reproduce.plan import Plan, State
from bench.reproduce.session import Outcome
from bench.reproduce.steps import Evaluate, Learn, Step
from bench.runs.provenance import provenance
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of
from bench.speed.steps import bare_step_sec, make_objective

Basis = Literal["its other seeds", "records of the model", "speed measured now", "unknown"]
NUM_STEPS = 3
NUM_WARM_UP = 2
NUM_LABELS = 2
"""Number of labels that a line shows."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated seconds of one run and their basis."""

    seconds: float | None
    basis: Basis
    machine: Literal["this", "another"] = "this"
    """Machine of the records."""


UNKNOWN = Estimate(seconds=None, basis="unknown")
Estimates = Mapping[str, Estimate]
"""Run -> estimate."""
States = Mapping[str, State]


@dataclass(kw_only=True)
class Estimator:
    """Estimates for the runs of one task."""

    records: Sequence[Record]
    cpu: str | int | None
    """CPU of this machine, as in a record."""
    smallest: dict[str, Resolved] = field(default_factory=dict)
    """Model -> configuration whose speed is measured if there is no record."""
    _corpora: dict[bytes, Corpus] = field(default_factory=dict)
    _rates: dict[str, float] = field(default_factory=dict)

    def estimate(self, step: Step) -> Estimate:
        """Estimate the duration of a step."""
        configuration = step.run_id.rpartition("-s")[0]
        seeds = [r for r in self.records if r.id.rpartition("-s")[0] == configuration]
        if seeds:
            return self._mean(seeds, "its other seeds")
        if isinstance(step, Learn) and step.verb == "train":
            try:
                return self._by_flops(step.resolved)
            except BenchError:  # the run itself will raise it
                return UNKNOWN
        similar = [record for record in self.records if _is_similar(record, step)]
        return self._mean(similar, "records of the model") if similar else UNKNOWN

    def _mean(self, records: Sequence[Record], basis: Basis) -> Estimate:
        seconds = statistics.fmean(record.cost.seconds for record in records)
        return Estimate(seconds=seconds, basis=basis, machine=self._machine(records))

    def _machine(self, records: Sequence[Record]) -> Literal["this", "another"]:
        cpus = {record.provenance.hardware.get("cpu") for record in records}
        return "this" if cpus == {self.cpu} else "another"

    def _by_flops(self, resolved: Resolved) -> Estimate:
        """Training FLOPs divided by the rate of the model's records, or else by a measured one."""
        corpus = self._corpus(resolved)
        with torch.device("meta"):  # allocates nothing
            objective = resolved.objective_class()(resolved.config, corpus)
        units = objective.num_train_units
        flops = float(3 * objective.flops_per_unit() * units * resolved.config.trainer.max_epochs)
        known = [r for r in self.records if _has_same_speed(r, resolved)]
        if known:
            done = sum((r.cost.flops_per_token or 0) * units * len(r.curve) for r in known)
            seconds = flops / done * sum(r.cost.seconds for r in known)
            machine = self._machine(known)
            return Estimate(seconds=seconds, basis="records of the model", machine=machine)
        rate = self._measured_rate(str(resolved.config.model["name"]), corpus)
        return Estimate(seconds=flops / rate, basis="speed measured now")

    def _corpus(self, resolved: Resolved) -> Corpus:
        key = msgspec.json.encode(resolved.config.data)
        if key not in self._corpora:
            self._corpora[key] = corpus_of(resolved)
        return self._corpora[key]

    def _measured_rate(self, model: str, corpus: Corpus) -> float:
        """FLOPs per second over a few training steps of a model."""
        if model not in self._rates:
            objective = make_objective(self.smallest[model], corpus)
            batches = list(itertools.islice(objective.train_loader(), NUM_WARM_UP + NUM_STEPS))
            step_sec = bare_step_sec(objective, batches, skip=min(NUM_WARM_UP, len(batches) - 1))
            num_units = objective.units_in(batches[0])
            self._rates[model] = 3 * objective.flops_per_unit() * num_units / step_sec
        return self._rates[model]


def estimate_all(steps: Sequence[Step], records: Sequence[Record]) -> dict[str, Estimate]:
    """Run -> estimate, for the unfinished steps of one task."""
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
    model = resolved.config.model
    return float(model.get("hidden_size") or 1) * float(model.get("num_layers") or 1)


def wall_seconds(seconds: Sequence[float], num_workers: int) -> float:
    """Wall-clock seconds of runs shared by `num_workers` that do not slow each other."""
    ends = [0.0] * num_workers
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def _has_same_speed(record: Record, resolved: Resolved) -> bool:
    """True if a record's FLOPs per second apply to a configuration: same model and arithmetic."""
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


def _is_similar(record: Record, step: Step) -> bool:
    """True if a record has the model and the evaluation of a step."""
    evaluation = record.config.get("objective", {}).get("evaluation")
    mode = step.mode if isinstance(step, Evaluate) else None
    return record.model == step.model and evaluation == mode


def plan_text(plan: Plan, states: States, estimates: Estimates, *, num_workers: int) -> str:
    """Text of a plan: a line per configuration, the rows without a plan, and the total time.

    `estimates` are those of the runs that are not done.
    """
    by_configuration: dict[str, list[Step]] = {}
    for step in plan.steps:
        by_configuration.setdefault(step.run_id.rpartition("-s")[0], []).append(step)
    rows = [_plan_row(name, steps, states, estimates) for name, steps in by_configuration.items()]
    header = ("how", "run", "done", "to run", "each", "from", "rows")
    table = aligned(header, rows) if rows else ""
    return "\n\n".join(filter(None, (table, _notes(plan), _total(plan, estimates, num_workers))))


def _plan_row(
    name: str, steps: Sequence[Step], states: States, estimates: Estimates
) -> tuple[str, ...]:
    done = [step.seed for step in steps if states[step.run_id] == "done"]
    unfinished = [step for step in steps if states[step.run_id] != "done"]
    counts = Counter(states[step.run_id] for step in unfinished)
    extra = [f"{count} {state}" for state, count in counts.items() if state in ("resumes", "anew")]
    to_run = format_seeds([step.seed for step in unfinished])
    to_run += f" ({', '.join(extra)})" if extra else ""
    estimate = estimates[unfinished[0].run_id] if unfinished else None
    each = format_duration(estimate.seconds) if estimate else "-"
    basis = estimate.basis if estimate else "-"
    return (steps[0].verb, name, format_seeds(done), to_run, each, basis, _labels(steps[0].labels))


def _notes(plan: Plan) -> str:
    """Rows that are not planned in full, by reason."""
    rows: dict[str, list[str]] = {}
    for row in plan.rows:
        if row.note:
            rows.setdefault(row.note, []).append(row.row.label)
    return "\n".join(f"{note} ({'; '.join(labels)})" for note, labels in rows.items())


def _total(plan: Plan, estimates: Estimates, num_workers: int) -> str:
    num_runs, num_left = len(plan.steps), len(estimates)
    text = f"{num_runs} runs: {num_runs - num_left} done, {num_left} to do"
    known = [each.seconds for each in estimates.values() if each.seconds is not None]
    if not known:
        return text
    text += f"; about {format_duration(wall_seconds(known, num_workers))}"
    if num_workers > 1:
        sum_text = format_duration(sum(known))
        text += f" with {num_workers} workers if none slows another ({sum_text} in all)"
    bases = Counter(each.basis for each in estimates.values())
    unknown = bases.pop("unknown", 0)
    text += "; from " + ", ".join(f"{basis} ({count})" for basis, count in bases.items())
    if any(each.machine == "another" for each in estimates.values()):
        text += ", partly of another machine"
    return text + (f"; {unknown} unknown and left out" if unknown else "")


def start_line(step: Step) -> str:
    """One line about a run that starts."""
    return f"{step.verb} {step.run_id}  {_labels(step.labels)}"


def outcome_line(outcome: Outcome, step: Step, *, metric: str) -> str:
    """One line about a run that has ended."""
    head = f"{outcome.run_id}  {_labels(step.labels)}"
    if outcome.status == "failed":
        return f"{head}  failed: {outcome.reason}"
    value = "diverged" if outcome.value is None else f"test {metric} {outcome.value:.2f}"
    return f"{head}  {value}  {format_duration(outcome.seconds)}"


def format_seeds(seeds: Sequence[int]) -> str:
    """Text of seeds: `1-3, 5`, or a dash for none."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    texts = [f"{p[0]}" if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts]
    return ", ".join(texts) or "-"


def format_duration(seconds: float | None) -> str:
    """Text of a duration: `3 h 20 min`, `12 min`, `45 s`, or a question mark for None."""
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
