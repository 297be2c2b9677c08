"""From published rows and a number of seeds to the runs that measure them.

A row's configuration is its `match` above the recipe of its model, or above the recipe that it
names. A row of an evaluation or a mixture is planned with its components, of the same seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.cards import Card
from bench.core.config import merge
from bench.core.errors import BenchError
from bench.core.published import PublishedRow
from bench.core.record import Record
from bench.core.suite import Suite
from bench.domains import all_baselines
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
from bench.table.groups import group_records, matches
from bench.text.mixture import CACHE, Decay

RANKS = (Learn, Evaluate, Mix)
"""Networks and counts first, then what is made of them."""
EVALUATION = "objective.evaluation"
AUTO: Decay = "auto"
ONE_SEED = "one seed: a run's seed changes nothing in it"


class CannotPlanError(Exception):
    """Why a row is not planned."""


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """What is planned for one published row."""

    row: PublishedRow
    run_ids: tuple[str, ...]
    """The runs that measure the row, one a seed."""
    note: str | None = None
    """Why it is not planned, or why with one seed only."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All runs, each once, components before what needs them."""

    card: Card
    rows: tuple[RowPlan, ...]
    steps: tuple[Step, ...]


def make_plan(
    suite: Suite,
    task: str,
    rows: Sequence[PublishedRow],
    *,
    num_seeds: int,
    settings: Mapping[str, Any] | None = None,
) -> Plan:
    """The runs of `rows` with seeds 1 to `num_seeds`.

    `settings` (of data and trainer) stand below the rows' own. Rows that nothing can be planned
    for say why.
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
        except (CannotPlanError, BenchError) as reason:
            planned.append(RowPlan(row=row, run_ids=(), note=f"not planned: {reason}"))
            continue
        run_ids = tuple(dict.fromkeys(steps[-1].run_id for steps in final))
        note = ONE_SEED if len(run_ids) < num_seeds else None
        planned.append(RowPlan(row=row, run_ids=run_ids, note=note))
        found += [step for steps in final for step in steps]
    return Plan(card=planner.card, rows=tuple(planned), steps=_in_order(found))


def _in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Each run once with all its labels; by kind, then seed, then as the rows have it."""
    once: dict[str, Step] = {}
    for step in steps:
        known = once.get(step.run_id, step)
        labels = tuple(dict.fromkeys((*known.labels, *step.labels)))
        once[step.run_id] = dataclasses.replace(known, labels=labels)
    return tuple(sorted(once.values(), key=lambda step: (RANKS.index(type(step)), step.seed)))


@dataclass(frozen=True, kw_only=True)
class _Planner:
    suite: Suite
    card: Card
    settings: Mapping[str, Any]
    records: dict[str, Record]

    def row(self, row: PublishedRow, seed: int) -> list[Step]:
        """The steps of a row, the one that measures it last."""
        match = row.match
        if match is None:
            raise CannotPlanError(row.why)
        if match["model.name"] == "mix":
            steps = self._mixture(match, row.recipe, seed)
        elif EVALUATION in match:
            steps = self._evaluation(match, row.recipe, seed)
        else:
            steps = _in_stages(self._learn(match, row.recipe, seed))
        self._check(match, steps[-1])
        return [dataclasses.replace(step, labels=(row.label,)) for step in steps]

    def _learn(self, match: Mapping[str, Any], recipe: str | None, seed: int) -> Learn:
        name = str(match["model.name"])
        settings, is_counted = self.settings, name in all_baselines()
        if is_counted:
            settings = {key: value for key, value in settings.items() if key == "data"}
        overrides = merge(settings, _tree(match), {"seed": 1 if is_counted else seed})
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
            raise CannotPlanError("the row names no components (model.components in its match)")
        learned = [kind for kind in kinds if kind != CACHE]
        steps: list[Step] = []
        for place, kind in enumerate(learned):
            number = learned[: place + 1].count(kind)
            options = _options_of(match, kind if number == 1 else f"{kind}{number}")
            steps.append(self._learn(options, self._recipe_for(kind, recipe), seed))
        if len({step.run_id for step in steps}) < len(steps):
            raise CannotPlanError(
                f"{'+'.join(kinds)} names a component twice and nothing tells the two apart"
            )
        cache = (AUTO,) * (len(kinds) - len(learned))
        return [*steps, mixture_of([self._expected(step) for step in steps], cache)]

    def _recipe_for(self, kind: str, recipe: str | None) -> str | None:
        """The row's recipe for the component of its model, the model's own for the others."""
        if recipe is None or recipe not in self.card.recipes:
            return recipe  # an unknown one is refused where it is used
        model = self.card.recipe(recipe).get("model", {}).get("name", recipe)
        return recipe if model == kind else None

    def _check(self, match: Mapping[str, Any], step: Step) -> None:
        (group,) = group_records([expected_record(step.resolved)])
        if not matches(group, match):
            wrong = [key for key in match if not matches(group, {key: match[key]})]
            raise CannotPlanError(f"the run would not match the row in {', '.join(wrong)}")


def _in_stages(last: Learn) -> list[Step]:
    """A training with those that it begins with before it."""
    stages = [Learn(resolved=stage) for stage in stages_before(last.resolved).values()]
    before = [step for stage in stages for step in _in_stages(stage)]
    needs = tuple(dict.fromkeys(stage.run_id for stage in stages))
    return [*before, dataclasses.replace(last, needs=needs)]


def _options_of(match: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """What a mixture's match says of one component: `model.ngram.order` -> `model.order`."""
    start = f"model.{prefix}."
    found = {f"model.{key[len(start) :]}": match[key] for key in match if key.startswith(start)}
    return {"model.name": prefix.rstrip("0123456789"), **found}


def _tree(match: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as groups of settings."""
    tree: dict[str, Any] = {}
    for key, value in match.items():
        part, _, option = key.partition(".")
        tree.setdefault(part, {})[option] = value
    return tree
