"""Shipped published rows: each can be planned, and its planned runs fill its row of the table."""

from __future__ import annotations

import pytest

from bench.core.published import load_published
from bench.core.record import Record
from bench.core.suite import Suite, shipped_folder
from bench.reproduce.plan import Plan, make_plan
from bench.reproduce.steps import Learn, Mix, expected_record
from bench.table.build import assign_groups
from bench.table.groups import group_records

SUITE = Suite(folder=shipped_folder())
TASKS = [task for task in SUITE.card_paths() if SUITE.published_path(task)]


def plan_of(task: str, num_seeds: int = 2) -> Plan:
    return make_plan(SUITE, task, load_published(SUITE, task), num_seeds=num_seeds)


def test_there_are_tasks_with_rows() -> None:
    assert {"ptb", "ptb-char", "text8"} <= set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_a_row_with_a_match_is_planned(task: str) -> None:
    for row in plan_of(task).rows:
        assert bool(row.run_ids) == (row.row.match is not None), (row.row.label, row.note)


@pytest.mark.parametrize("task", TASKS)
def test_the_planned_record_fills_its_row_of_the_table(task: str) -> None:
    plan = plan_of(task)
    records: dict[str, Record] = {
        step.run_id: expected_record(step.resolved) for step in plan.steps
    }
    rows = [planned.row for planned in plan.rows]
    _, families = assign_groups(
        rows,
        group_records(records.values()),
        direction=SUITE.card(task).metric.direction,
    )
    for planned, family in zip(plan.rows, families, strict=False):
        filled = {record.id for record in family.first.finished} if family.first else set()
        assert filled == set(planned.run_ids), planned.row.label


def test_committed_records_are_the_planned_ones() -> None:
    """After a change of a recipe every row of the table would be measured a second time."""
    planned = {step.run_id for step in plan_of("ptb", 1).steps}
    committed = {record.id for record in SUITE.records("ptb")}
    rows = {
        "ngram-1e21b46d-s1",  # 5-gram, Good-Turing
        "ngram-902dc614-s1",
        "maxent-0e5a9996-s1",
        "forest-d36f271a-s1",
        "srn-721824d8-s1",
        "lstm-ec00e4ce-s1",
        "scrn-3bdc72b6-s1",
        "mix-544c3442-s1",  # recurrent network + KN5
        "mix-b2dadcc2-s1",
    }
    assert rows <= planned & committed


def test_components_come_first_and_everything_once() -> None:
    steps = plan_of("ptb").steps
    place = {step.run_id: number for number, step in enumerate(steps)}
    assert len(place) == len(steps)
    for step in steps:
        assert all(place[need] < place[step.run_id] for need in step.needs)
        assert bool(step.needs) == (not isinstance(step, Learn))
    mixed = [step for step in steps if isinstance(step, Mix) and "tdnn" in "".join(step.needs)]
    assert {step.seed for step in mixed} == {1, 2}
    for step in mixed:
        seeds = {need.partition("-")[0]: need.rpartition("-s")[2] for need in step.needs}
        assert seeds == {"ngram": "1", "tdnn": str(step.seed)}
