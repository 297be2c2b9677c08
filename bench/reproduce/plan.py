"""Plan of the runs that measure published rows, with a number of seeds.

A row's configuration is its `match` over the recipe that it names, or over its model's. The row of
an evaluation or a mixture is planned together with its components, of the same seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.core.cards import Card
from bench.core.config import merge
from bench.core.errors import BenchError
from bench.core.published import PublishedRow
from bench.core.record import Record, read_record
from bench.core.suite import Suite
from bench.domains import all_baselines
from bench.reproduce.session import Outcome
from bench.reproduce.steps import (
    Evaluate,
    Learn,
    Mix,
    Step,
    evaluation_of,
    expected,
    expected_record,
    mixture_of,
)
from bench.runs.finished import FinishedRun
from bench.runs.lineage import stages_before
from bench.runs.resolve import resolve
from bench.sweep.space import tree_of
from bench.table.groups import group_records, matches
from bench.text.mixture import CACHE, Decay
from bench.training.checkpoint import LAST

KINDS = (Learn, Evaluate, Mix)
"""Order of the steps: runs come before evaluations and mixtures of them."""
EVALUATION = "objective.evaluation"
AUTO: Decay = "auto"
ONE_SEED = "one seed: the seed has no effect on this run"

State = Literal["done", "to do", "resumes", "anew"]
"""anew: recorded, but weights that another run of the plan must read are gone."""


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """Planned runs of one published row."""

    row: PublishedRow
    run_ids: tuple[str, ...]
    """Runs that measure the row, one per seed."""
    note: str | None = None
    """Reason for no run, or for one seed only."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Runs of all rows, each once and after its components, and their state on disk."""

    suite: Suite
    card: Card
    rows: tuple[RowPlan, ...]
    steps: tuple[Step, ...]

    def record(self, step: Step) -> Record | None:
        """Record of a step in the working folder or among the shipped ones."""
        for folder in self.suite.folders:
            path = folder / "results" / self.card.task / "runs" / f"{step.run_id}.json"
            if path.is_file():
                return read_record(path)
        return None

    def state(self, step: Step) -> State:
        """State by a step's record, checkpoints, and what unrecorded steps read of it."""
        record = self.record(step)
        if record is None:
            return "resumes" if self.progress(step) else "to do"
        if record.status != "finished":
            return "done"
        readers = [other for other in self.steps if step.run_id in other.needs]
        is_missing = any(
            self.record(r) is None and not r.can_read(self.suite, record) for r in readers
        )
        return "anew" if is_missing else "done"

    def states(self) -> dict[str, State]:
        """Run -> state."""
        return {step.run_id: self.state(step) for step in self.steps}

    def progress(self, step: Step) -> int:
        """Number that changes with every checkpoint; 0 without one."""
        last = self.suite.artifacts(self.card.task, step.run_id) / LAST
        return last.stat().st_mtime_ns if last.is_file() else 0

    def obstacle(self, step: Step, outcomes: Mapping[str, Outcome]) -> str | None:
        """Reason why a step whose components are over cannot be carried out."""
        steps = {step.run_id: step for step in self.steps}
        for need in step.needs:
            record, outcome = self.record(steps[need]), outcomes.get(need)
            if outcome is not None and outcome.status == "failed":
                return f"needs {need}, which failed"
            if record is not None and record.status != "finished":
                return f"needs {need}, which {record.status}"
        return None


def make_plan(
    suite: Suite,
    task: str,
    rows: Sequence[PublishedRow],
    *,
    num_seeds: int,
    settings: Mapping[str, Any] | None = None,
) -> Plan:
    """Plan the runs of `rows` with seeds 1 to `num_seeds`.

    Settings of the rows override `settings` (of data and trainer). A row that cannot be planned
    gets a note with the reason.
    """
    planner = _Planner(
        suite=suite,
        card=suite.card(task),
        settings=settings or {},
        records={record.id: record for record in suite.records(task)},
    )
    found: list[Step] = []
    planned = []
    for row in rows:
        try:
            final = [planner.row(row, seed) for seed in range(1, num_seeds + 1)]
        except BenchError as reason:
            planned.append(RowPlan(row=row, run_ids=(), note=f"not planned: {reason}"))
            continue
        run_ids = tuple(dict.fromkeys(steps[-1].run_id for steps in final))
        note = ONE_SEED if len(run_ids) < num_seeds else None
        planned.append(RowPlan(row=row, run_ids=run_ids, note=note))
        found += [step for steps in final for step in steps]
    return Plan(suite=suite, card=planner.card, rows=tuple(planned), steps=_in_order(found))


def _in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Each run once, with all its labels, by kind, seed and order of rows."""
    once: dict[str, Step] = {}
    for step in steps:
        known = once.get(step.run_id, step)
        labels = tuple(dict.fromkeys((*known.labels, *step.labels)))
        once[step.run_id] = dataclasses.replace(known, labels=labels)
    return tuple(sorted(once.values(), key=lambda step: (KINDS.index(type(step)), step.seed)))


@dataclass(frozen=True, kw_only=True)
class _Planner:
    suite: Suite
    card: Card
    settings: Mapping[str, Any]
    records: dict[str, Record]

    def row(self, row: PublishedRow, seed: int) -> list[Step]:
        """Steps of a row, the one that measures it last."""
        match = row.match
        if match is None:
            raise BenchError(row.why)
        if match["model.name"] == "mix":
            steps = self._mixture(match, row.recipe, seed)
        elif EVALUATION in match:
            steps = self._evaluation(match, row.recipe, seed)
        else:
            steps = _with_earlier_stages(self._learn(match, row.recipe, seed))
        self._check(match, steps[-1])
        return [dataclasses.replace(step, labels=(row.label,)) for step in steps]

    def _learn(self, match: Mapping[str, Any], recipe: str | None, seed: int) -> Learn:
        name = str(match["model.name"])
        settings, is_counted = self.settings, name in all_baselines()
        if is_counted:
            settings = {key: value for key, value in settings.items() if key == "data"}
        overrides = merge(settings, tree_of(match), {"seed": 1 if is_counted else seed})
        resolved = resolve(self.suite, self.card.task, recipe=recipe, overrides=overrides)
        return Learn(resolved=resolved)

    def _expected(self, step: Step) -> FinishedRun:
        return expected(self.suite, step.resolved, self.records)

    def _evaluation(self, match: Mapping[str, Any], recipe: str | None, seed: int) -> list[Step]:
        prefix = f"{EVALUATION}_"
        given = {key: match[key] for key in match if key.startswith(prefix)}
        own = {key: value for key, value in match.items() if key not in {EVALUATION, *given}}
        base = self._learn(own, recipe, seed)
        options = {k.removeprefix(prefix): v for k, v in given.items() if v != "tuned"}
        return [base, evaluation_of(self._expected(base), match[EVALUATION], options)]

    def _mixture(self, match: Mapping[str, Any], recipe: str | None, seed: int) -> list[Step]:
        kinds = str(match.get("model.components", "")).split("+")
        if kinds == [""]:
            raise BenchError("the row names no components (model.components in its match)")
        learned = [kind for kind in kinds if kind != CACHE]
        steps: list[Step] = []
        for place, kind in enumerate(learned):
            number = learned[: place + 1].count(kind)
            options = _options_of(match, kind if number == 1 else f"{kind}{number}")
            steps.append(self._learn(options, self._recipe_for(kind, recipe), seed))
        if len({step.run_id for step in steps}) < len(steps):
            raise BenchError(f"{'+'.join(kinds)} names a component twice without different options")
        cache = (AUTO,) * (len(kinds) - len(learned))
        return [*steps, mixture_of([self._expected(step) for step in steps], cache)]

    def _recipe_for(self, kind: str, recipe: str | None) -> str | None:
        """Recipe of a component: the row's if it is for this model, else the model's own."""
        if recipe is None or recipe not in self.card.recipes:
            return recipe  # `resolve` refuses an unknown one
        model = self.card.recipe(recipe).get("model", {}).get("name", recipe)
        return recipe if model == kind else None

    def _check(self, match: Mapping[str, Any], step: Step) -> None:
        (group,) = group_records([expected_record(step.resolved)])
        if not matches(group, match):
            wrong = [key for key in match if not matches(group, {key: match[key]})]
            raise BenchError(f"the run would not match the row in {', '.join(wrong)}")


def _with_earlier_stages(last: Learn) -> list[Step]:
    """Training preceded by the trainings that provide its initial weights."""
    stages = [Learn(resolved=stage) for stage in stages_before(last.resolved).values()]
    before = [step for stage in stages for step in _with_earlier_stages(stage)]
    needs = tuple(dict.fromkeys(stage.run_id for stage in stages))
    return [*before, dataclasses.replace(last, needs=needs)]


def _options_of(match: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Options of one component in a mixture's match: `model.ngram.order` -> `model.order`."""
    start = f"model.{prefix}."
    found = {f"model.{key[len(start) :]}": match[key] for key in match if key.startswith(start)}
    return {"model.name": prefix.rstrip("0123456789"), **found}
