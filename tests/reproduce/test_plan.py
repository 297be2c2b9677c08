"""Plans: selected rows, their runs, the state of each run, and estimates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from published_rows import make_suite_with

from bench.core.config import dotted
from bench.core.errors import BenchError
from bench.core.published import load_published
from bench.core.record import Cost, Point
from bench.core.suite import Suite, shipped_folder
from bench.reproduce.call import select_rows
from bench.reproduce.carry_out import Job, work
from bench.reproduce.estimate import (
    estimate_all,
    format_duration,
    format_seeds,
    plan_text,
    wall_seconds,
)
from bench.reproduce.plan import ONE_SEED, Plan, make_plan
from bench.reproduce.session import MAX_STARTS, Outcome, Session, open_session
from bench.reproduce.steps import Step, expected_record
from bench.runs.finished import bring_back
from bench.runs.provenance import forget_peak_memory, peak_memory_bytes
from bench.runs.run import RunOptions

SHIPPED = Suite(folder=shipped_folder())


def labels(*patterns: str) -> list[str]:
    rows = load_published(SHIPPED, "ptb")
    return [row.label for row in select_rows(SHIPPED.card("ptb"), rows, patterns)]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["SCRN, 40*"], ["SCRN, 40 hidden, 10 context"]),
        (["scrn, 40*", "AWD-lstm"], ["SCRN, 40 hidden, 10 context", "AWD-LSTM"]),
        (["zaremba-small"], ["LSTM, 2 x 200, no dropout (small)"]),
        (["forest"], ["Random forest"]),
        (["katz", "good-turing"], None),
    ],
)
def test_patterns_are_compared_with_labels_models_and_recipes(
    patterns: list[str], expected: list[str] | None
) -> None:
    if expected is None:
        with pytest.raises(BenchError, match="--rows 'katz' matches no published row of ptb"):
            labels(*patterns)
    else:
        assert labels(*patterns) == expected


def test_all_rows_of_a_model_and_all_rows() -> None:
    assert len(labels("scrn*")) == len(labels("SCRN")) == 4
    assert len(labels()) == len(load_published(SHIPPED, "ptb"))


def test_a_pattern_without_a_match_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(BenchError, match=r"'scnr\*' matches .* did you mean 'scrn'"):
        labels("scnr*")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=make_suite_with(tmp_path))


def plan_of(suite: Suite, *patterns: str, num_seeds: int = 2, **settings: Any) -> Plan:
    rows = select_rows(suite.card("tiny"), load_published(suite, "tiny"), patterns)
    return make_plan(suite, "tiny", rows, num_seeds=num_seeds, settings=settings)


def test_the_match_of_a_row_overrides_its_recipe(suite: Suite) -> None:
    plan = plan_of(suite, "SRN, wide", trainer={"max_epochs": "5"})
    first, second = plan.steps
    config = dotted(first.resolved.config.model, "model.")
    assert (config["model.hidden_size"], config["model.nonlinearity"]) == (12, "tanh")
    assert first.resolved.recipe == "wide"
    assert first.resolved.config.trainer.max_epochs == 5
    assert [step.seed for step in plan.steps] == [1, 2]
    assert plan.rows[0].run_ids == (first.run_id, second.run_id)


def test_a_model_without_randomness_is_planned_once(suite: Suite) -> None:
    plan = plan_of(suite, "bigram", num_seeds=3)
    assert [step.seed for step in plan.steps] == [1]
    assert plan.rows[0].note == ONE_SEED


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("unheard of", "The suite has no such model."),
        ("two of a kind", "srn+srn names a component twice"),
        ("of nothing", "the row names no components"),
    ],
)
def test_a_row_that_cannot_be_planned_has_a_note(suite: Suite, label: str, reason: str) -> None:
    (row,) = plan_of(suite, label).rows
    assert row.run_ids == ()
    assert row.note is not None
    assert row.note.startswith(f"not planned: {reason}")


def test_an_evaluation_keeps_the_options_of_the_row_and_tunes_the_rest(suite: Suite) -> None:
    plan = plan_of(suite, "*dynamic*", num_seeds=1)
    base, evaluation = plan.steps
    assert evaluation.needs == (base.run_id,)
    objective = evaluation.resolved.config.objective
    assert objective["evaluation_segment_length"] == 20
    assert objective["evaluation_lr"] == "tuned"


def touch(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def put_record(suite: Suite, step: Step, **changes: Any) -> None:
    record = msgspec.structs.replace(expected_record(step.resolved), **changes)
    path = suite.record_path("tiny", record.id)
    touch(path, msgspec.json.encode(record).decode())


def test_states_of_runs(suite: Suite) -> None:
    plan = plan_of(suite, "*dynamic*", "*bigram*", num_seeds=1)
    ngram, srn, evaluation, mixture = plan.steps
    assert set(plan.states().values()) == {"to do"}
    folder = suite.artifacts("tiny", srn.run_id)
    touch(folder / "last.ckpt")
    assert plan.state(srn) == "resumes"
    put_record(suite, srn)
    put_record(suite, ngram)
    assert plan.state(srn) == "anew", "the evaluation needs its weights"
    assert plan.state(ngram) == "done", "counts can be counted again"
    touch(folder / "weights.pt")
    assert plan.state(srn) == "done"
    (folder / "weights.pt").unlink()
    put_record(suite, evaluation)
    assert plan.state(srn) == "anew", "the mixture needs its log-probabilities"
    put_record(suite, mixture)
    assert set(plan.states().values()) == {"done"}


def test_a_recorded_component_is_used(suite: Suite) -> None:
    """Records made before an option existed name their mixture without that option."""
    (srn,) = plan_of(suite, "SRN, 8*", num_seeds=1).steps
    before = plan_of(suite, "*bigram*", num_seeds=1).steps[-1].run_id
    config = msgspec.to_builtins(srn.resolved.config)
    del config["model"]["bias"]
    put_record(suite, srn, config=config)
    plan = plan_of(suite, "*bigram*", num_seeds=1)
    assert plan.steps[-1].run_id != before
    assert bring_back(suite, suite.records("tiny")[0]).id in plan.steps[-1].needs


def test_a_run_that_needs_a_failed_or_diverged_one_fails(suite: Suite) -> None:
    plan = plan_of(suite, "*dynamic*", num_seeds=1)
    base, evaluation = plan.steps
    session = open_session(suite.folder / "artifacts", "tiny")
    job = Job(plan=plan, session=session, run_options=RunOptions())
    session.add_outcome(Outcome(run_id=base.run_id, status="failed", reason="no memory"))
    work(job, worker="worker-1")
    assert session.outcomes()[evaluation.run_id].reason == f"needs {base.run_id}, which failed"
    put_record(suite, base, status="diverged")
    again = open_session(suite.folder / "artifacts", "tiny")
    work(Job(plan=plan, session=again, run_options=RunOptions()), worker="worker-1")
    assert again.outcomes()[evaluation.run_id].reason == f"needs {base.run_id}, which diverged"


def test_a_run_that_kills_its_workers_fails(suite: Suite) -> None:
    plan = plan_of(suite, "SRN, 8*", num_seeds=1)
    session = open_session(suite.folder / "artifacts", "tiny")
    (step,) = plan.steps
    for _ in range(MAX_STARTS):
        session.add_start(step.run_id, 0)
    work(Job(plan=plan, session=session, run_options=RunOptions()), worker="worker-1")
    outcome = session.outcomes()[step.run_id]
    assert outcome.status == "failed"
    assert f"{MAX_STARTS} workers died" in str(outcome.reason)


def test_starts_are_counted_from_the_last_progress(tmp_path: Path) -> None:
    session = Session(tmp_path)
    assert [session.add_start("run", progress) for progress in (0, 0, 7, 7, 8)] == [1, 2, 1, 2, 1]
    session.undo_start("run")
    assert session.add_start("run", 8) == 1


def test_a_run_is_claimed_once(tmp_path: Path) -> None:
    first, second = Session(tmp_path), Session(tmp_path)
    with first.claim("run") as is_first, second.claim("run") as is_second:
        assert (is_first, is_second) == (True, False)
    with second.claim("run") as is_second:
        assert is_second


def test_estimates_and_their_basis(suite: Suite) -> None:
    plan = plan_of(suite, "SRN*", "bigram", num_seeds=2)
    small, wide, small_2, wide_2, *others = [s for s in plan.steps if s.model != "ngram"]
    (ngram,) = (step for step in plan.steps if step.model == "ngram")
    point = Point(epoch=1, step=1, train=1.0, valid=1.0, lr=1.0)
    cost = Cost(num_parameters=1, seconds=50.0, flops_per_token=3 * 2 * 9 * 8)
    put_record(suite, small, cost=cost, curve=[point, point])
    unfinished = [step for step in plan.steps if step is not small]
    found = estimate_all(unfinished, suite.records("tiny"))
    assert (found[small_2.run_id].seconds, found[small_2.run_id].basis) == (50, "its other seeds")
    assert found[small_2.run_id].machine == "another"
    assert found[wide.run_id].basis == "records of the model"
    assert (found[wide.run_id].seconds or 0) > 50
    assert found[wide.run_id] == found[wide_2.run_id]
    assert {found[step.run_id].basis for step in (ngram, *others)} == {"unknown"}
    measured = estimate_all(unfinished, [])
    assert measured[wide.run_id].basis == "speed measured now"
    assert 0 < (measured[wide.run_id].seconds or 0) < 600


def test_the_plan_as_text(suite: Suite) -> None:
    plan = plan_of(suite, "SRN, 8*", "bigram", "unheard of", num_seeds=3)
    states = plan.states()
    for step in plan.steps:
        if step.seed == 2:
            states[step.run_id] = "done"
        if step.seed == 3:
            states[step.run_id] = "resumes"
    unfinished = [step for step in plan.steps if states[step.run_id] != "done"]
    text = plan_text(plan, states, estimate_all(unfinished, []), num_workers=2)
    srn = next(line.split("  ") for line in text.splitlines() if line.startswith("train"))
    assert [part.strip() for part in srn if part][2:4] == ["2", "1, 3 (1 resumes)"]
    assert "not planned: The suite has no such model. (Unheard of)" in text
    assert f"{ONE_SEED} (Bigram)" in text
    assert "4 runs: 1 done, 3 to do; about" in text
    assert "1 unknown and left out" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (0.2, "< 1 s"),
        (45.4, "45 s"),
        (59.7, "1 min"),
        (3599, "1 h"),
        (8 * 3600 + 61, "8 h 1 min"),
        (72 * 3600, "3.0 days"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


def test_format_seeds_and_wall_seconds() -> None:
    assert format_seeds([5, 1, 2, 3]) == "1-3, 5"
    assert format_seeds([]) == "-"
    assert wall_seconds([4, 3, 2, 1], 1) == 10
    assert wall_seconds([4, 3, 2, 1], 2) == 5


def test_the_peak_memory_of_an_earlier_run_is_forgotten() -> None:
    buffer = bytearray(300_000_000)
    del buffer
    before = peak_memory_bytes()
    forget_peak_memory()
    assert peak_memory_bytes() < before - 200_000_000
