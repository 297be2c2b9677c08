"""Commands that repeat a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from synthetic_records import make_record

from bench.cli import app
from bench.cli.settings import tree
from bench.core.record import Record
from bench.core.suite import Suite
from bench.report.runs import rerun_command
from bench.runs.resolve import resolve

SUITE = Suite(folder=Path(__file__).parent.parent.parent)
RECORDS = [record for card in SUITE.cards() for record in SUITE.records(card.task)]


def parsed(command: str) -> dict[str, Any]:
    """The arguments of a command, as the command line reads them."""
    words = shlex.split(command)
    _, bound, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    return dict(bound.arguments)


def run_id(command: str) -> str:
    """The name of the run that a `bench run` command is about."""
    given = parsed(command)
    parts = ("optim", "trainer", "data", "init")
    settings = tree(
        given.get("seed"),
        model=given.get("model_"),
        objective=given.get("objective_"),
        **{part: given.get(part) for part in parts},
    )
    resolved = resolve(
        SUITE,
        given["task"],
        model=given.get("model"),
        objective=given.get("objective"),
        recipe=given.get("recipe"),
        overrides=settings,
    )
    return resolved.run_id


def test_commands_of_committed_runs_name_them() -> None:
    runs = [record for record in RECORDS if rerun_command(record).startswith("bench run ")]
    assert len(runs) > 50
    wrong = {
        record.id: rerun_command(record)
        for record in runs
        if run_id(rerun_command(record)) != record.id
    }
    assert wrong == {}


def test_commands_of_other_committed_records_are_understood() -> None:
    others = [record for record in RECORDS if not rerun_command(record).startswith("bench run ")]
    assert {rerun_command(record).split()[1] for record in others} == {"mix", "evaluate"}
    for record in others:
        given = parsed(rerun_command(record))
        assert given["runs"], record.id


def evaluated(seed: int = 3, **objective: Any) -> Record:
    record = make_record(100.0, seed=seed, objective=objective)
    keys = [f"objective.{key}" for key in objective]
    return replace(record, set_by_caller=[*record.set_by_caller, *keys])


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (
            evaluated(evaluation="dynamic", evaluation_of="srn-1f2d", evaluation_lr="tuned"),
            "bench evaluate srn-1f2d-s3 --mode dynamic --tune",
        ),
        (
            evaluated(evaluation="neural-cache", evaluation_of="lstm-9d", evaluation_theta=0.3),
            "bench evaluate lstm-9d-s3 --mode neural-cache --theta 0.3",
        ),
        (
            evaluated(
                evaluation="translate",
                evaluation_of="gru-77aa[0,1] lstm-0b",
                evaluation_models=3,
                beam_size=12,
            ),
            "bench evaluate gru-77aa-s3 gru-77aa-s4 lstm-0b-s3 --mode translate --beam 12",
        ),
    ],
)
def test_evaluations_name_their_runs(record: Record, command: str) -> None:
    assert rerun_command(record) == command
