"""Steps of a plan: runs that are trained or counted, evaluations, and mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bench.core.record import Cost, Provenance, Record
from bench.core.suite import Suite
from bench.domains import all_baselines
from bench.runs.finished import FinishedRun, bring_back
from bench.runs.resolve import Resolved
from bench.runs.run import RunOptions, run
from bench.text.evaluation import Mode, evaluate_run, make_grid, resolve_evaluation
from bench.text.mixture import SPLITS, Decay, mix_runs, resolve_mixture
from bench.text.outputs import log_probs_path
from bench.training.checkpoint import WEIGHTS


@dataclass(frozen=True, kw_only=True)
class Step:
    """One record of the plan, with the runs that it needs."""

    resolved: Resolved
    labels: tuple[str, ...] = ()
    """Published rows that it measures, or that need it."""
    needs: tuple[str, ...] = ()
    """Runs that must be finished before."""

    @property
    def run_id(self) -> str:
        return self.resolved.run_id

    @property
    def seed(self) -> int:
        return self.resolved.config.seed

    @property
    def model(self) -> str:
        return str(self.resolved.config.model["name"])

    @property
    def verb(self) -> str:
        raise NotImplementedError

    def carry_out(self, suite: Suite, run_options: RunOptions) -> Record:
        """Make the record; the needed runs are finished."""
        raise NotImplementedError

    def can_read(self, suite: Suite, component: Record) -> bool:
        """True if the files of a component that this step reads exist: by default its weights."""
        return (suite.artifacts(component.task, component.id) / WEIGHTS).is_file()


@dataclass(frozen=True, kw_only=True)
class Learn(Step):
    """Training of a network, or counting of a baseline."""

    @property
    def verb(self) -> str:
        return "count" if self.model in all_baselines() else "train"

    def carry_out(self, suite: Suite, run_options: RunOptions) -> Record:
        return run(self.resolved, suite, run_options)


@dataclass(frozen=True, kw_only=True)
class Evaluate(Step):
    """Evaluation of a trained network in another mode; options that the row lacks are tuned."""

    mode: Mode
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def verb(self) -> str:
        return "evaluate"

    def carry_out(self, suite: Suite, run_options: RunOptions) -> Record:
        (base,) = self.needs
        return evaluate_run(
            suite, base, self.mode, self.settings, others="tuned", run_options=run_options
        )


@dataclass(frozen=True, kw_only=True)
class Mix(Step):
    """Interpolation of several runs."""

    cache: tuple[Decay, ...] = ()

    @property
    def verb(self) -> str:
        return "mix"

    def carry_out(self, suite: Suite, run_options: RunOptions) -> Record:
        task = self.resolved.card.task
        record, _ = mix_runs(suite, task, self.needs, cache=self.cache, run_options=run_options)
        return record

    def can_read(self, suite: Suite, component: Record) -> bool:
        folder = suite.artifacts(component.task, component.id)
        kept = all(log_probs_path(folder, split).is_file() for split in SPLITS)
        return kept or component.model in all_baselines() or (folder / WEIGHTS).is_file()


def evaluation_of(base: FinishedRun, mode: Mode, settings: dict[str, Any]) -> Evaluate:
    """Step that evaluates `base`, which may be an `expected` run."""
    resolved = resolve_evaluation(base, mode, make_grid(mode, settings, "tuned"))
    return Evaluate(resolved=resolved, needs=(base.id,), mode=mode, settings=settings)


def mixture_of(components: Sequence[FinishedRun], cache: tuple[Decay, ...]) -> Mix:
    """Step that mixes `components`, which may be `expected` runs."""
    found = sorted(components, key=lambda component: component.id)
    resolved = resolve_mixture(found, cache)
    return Mix(resolved=resolved, needs=tuple(c.id for c in found), cache=cache)


def expected(
    suite: Suite, resolved: Resolved, records: dict[str, Record] | None = None
) -> FinishedRun:
    """Recorded run of a configuration, else its future run without any number."""
    if records and resolved.run_id in records:
        record = records[resolved.run_id]
        if record.status == "finished" and record.card_version == resolved.card.version:
            return bring_back(suite, record)
    record = expected_record(resolved)
    folder = suite.artifacts(record.task, record.id)
    return FinishedRun(record=record, resolved=resolved, folder=folder)


def expected_record(resolved: Resolved) -> Record:
    """Future record of a configuration: all but its numbers."""
    evaluation = resolved.config.objective.get("evaluation", "static")
    return Record(
        id=resolved.run_id,
        task=resolved.card.task,
        card_version=resolved.card.version,
        seed=resolved.config.seed,
        status="finished",
        metric=resolved.card.metric.name,
        signature=f"{resolved.card.metric.name}|eval:{evaluation}",
        metrics={},
        config=msgspec.to_builtins(resolved.config),
        digest=resolved.digest,
        set_by_caller=resolved.set_by_caller,
        recipe=resolved.recipe,
        data={},
        cost=Cost(num_parameters=0, seconds=0.0),
        provenance=Provenance(
            commit=None, dirty=None, packages={}, python="", platform="", hardware={}
        ),
        started="",
        finished="",
    )
