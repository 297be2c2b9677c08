"""One worker: trials, budget, repeats, claims, failures and stops."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stub_training import DIVERGING_LR, FAILING_LR, FLOPS_PER_EPOCH, stub_train
from tiny_sweep import begin, carry_out, essence, write_sweep

import bench.runs.run
import bench.sweep.claim
from bench.core.errors import BenchError
from bench.core.record import read_record
from bench.runs.run import RunOptions
from bench.sweep.budget import repeat_seeds
from bench.sweep.claim import MAX_LOSSES, Claim, Claims, TrialOutcome
from bench.sweep.specification import load_sweep
from bench.sweep.status import SweepState, read_state
from bench.sweep.storage import default_url, open_storage
from bench.sweep.study import delete_studies, open_studies
from bench.sweep.worker import Worker
from bench.training.callbacks import PrunedError


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.runs.run, "train", stub_train)
    monkeypatch.setattr("stub_training.EPOCH_SEC", 0.0)


def starts(folder: Path) -> Counter[str]:
    """Run -> number of times that its training was started or resumed."""
    lines = (folder / "log").read_text().splitlines()
    return Counter(line.split()[1] for line in lines if line.startswith("begin"))


def essences(state: SweepState) -> list[tuple[Any, ...]]:
    return [essence(result) for part in state.trials for result in state.results(part)]


def test_the_budget_is_used_up_and_each_trial_has_its_record(tmp_path: Path) -> None:
    suite = write_sweep(tmp_path, budget={"trials": 5})
    state = carry_out(suite)
    results = state.results("srn")
    assert [result.status for result in results] == ["finished"] * 5
    assert state.is_done
    for result in results:
        (run_id,) = result.run_ids
        record = read_record(suite.record_path("tiny", run_id, "trials"))
        assert record.metrics == {"valid": result.value}
        assert record.config["optim"]["lr"] == result.chosen["optim.lr"]
        assert result.intermediate == {p.epoch: p.valid for p in record.curve}
        assert (result.flops, result.seconds) == (record.cost.flops, record.cost.seconds)
        assert result.num_parameters == record.cost.num_parameters


@pytest.mark.parametrize("name", ["tpe", "random", "qmc"])
def test_trials_do_not_depend_on_where_the_sweep_was_stopped(tmp_path: Path, name: str) -> None:
    """Proposals depend on the history alone, not on the process."""
    rest = {"startup": 2} if name == "tpe" else {}
    changes = {"budget": {"trials": 5}, "sampler": {"name": name, "seed": 5, **rest}}
    undisturbed = carry_out(write_sweep(tmp_path / "undisturbed", **changes))
    for trials in (1, 3, 5):
        suite = write_sweep(tmp_path / "stopped", **{**changes, "budget": {"trials": trials}})
        stopped = carry_out(suite)
    assert essences(stopped) == essences(undisturbed)
    assert len({repr(result.chosen) for result in undisturbed.results("srn")}) == 5


def test_a_larger_budget_adds_trials_and_the_same_one_none(tmp_path: Path) -> None:
    carry_out(write_sweep(tmp_path))
    before = starts(tmp_path)
    assert len(carry_out(write_sweep(tmp_path)).results("srn")) == 4
    assert starts(tmp_path) == before
    assert len(carry_out(write_sweep(tmp_path, budget={"trials": 6})).results("srn")) == 6


FINITE = {"model.nonlinearity": {"type": "categorical", "choices": ["tanh", "sigmoid"]}}


def test_the_same_configuration_is_never_trained_twice(tmp_path: Path) -> None:
    changes = {"space": FINITE, "sampler": {"name": "random"}, "budget": {"trials": 9}}
    state = carry_out(write_sweep(tmp_path, **changes))
    assert [result.status for result in state.results("srn")] == ["finished"] * 9
    counts = starts(tmp_path)
    assert len(counts) == 2
    assert set(counts.values()) == {1}
    values = {(r.run_ids[0], r.value, tuple(r.intermediate.values())) for r in state.results("srn")}
    assert len(values) == 2


def test_a_grid_ends_after_its_last_point(tmp_path: Path) -> None:
    space = {**FINITE, "optim.lr": {"type": "categorical", "choices": [0.1, 0.2, 0.4]}}
    changes = {"space": space, "sampler": {"name": "grid"}, "budget": {"trials": 50}}
    state = carry_out(write_sweep(tmp_path, **changes))
    chosen = [tuple(sorted(result.chosen.items())) for result in state.results("srn")]
    assert len(chosen) == len(set(chosen)) == 6


# Every trial of the stub takes 2 epochs: 3 s and 2000 FLOPs on paper.
@pytest.mark.parametrize(
    ("budget", "num_trials"),
    [
        ({"trials": 3}, 3),
        ({"seconds": 9}, 3),
        ({"seconds": 9.1}, 4),
        ({"flops": 2 * FLOPS_PER_EPOCH}, 1),
        ({"flops": 2 * FLOPS_PER_EPOCH + 1}, 2),
        ({"trials": 5, "seconds": 6}, 2),
    ],
)
def test_no_trial_starts_once_the_budget_is_used_up(
    tmp_path: Path, budget: dict[str, float], num_trials: int
) -> None:
    state = carry_out(write_sweep(tmp_path, models=["srn", "gru"], budget=budget, space=LR))
    assert [len(state.results(model)) for model in ("srn", "gru")] == [num_trials] * 2


LR = {"optim.lr": {"type": "float", "low": 1e-3, "high": 0.1, "log": True}}


def test_models_take_turns(tmp_path: Path) -> None:
    state = carry_out(write_sweep(tmp_path, models=["srn", "gru"], space=LR))
    starts = [(s.frozen.datetime_start, m) for m in ("srn", "gru") for s in state.trials[m]]
    order = [model for start, model in sorted(starts, key=lambda pair: str(pair[0]))]
    assert order == ["srn", "gru"] * 4


def start(*lrs: float) -> list[dict[str, float]]:
    return [{"optim.lr": lr} for lr in lrs]


def test_finished_pruned_diverged_and_failed_trials(tmp_path: Path) -> None:
    """Start points around the stub's optimum at 0.01; a failed trial is no budget."""
    changes = {
        "start": start(0.01, 0.01, DIVERGING_LR, 0.1, FAILING_LR, 0.0101),
        "space": LR,
        "budget": {"trials": 5},
        "pruner": {"name": "median", "startup": 1},
    }
    results = carry_out(write_sweep(tmp_path, **changes)).results("srn")
    statuses = [result.status for result in results]
    assert statuses == ["finished", "finished", "diverged", "pruned", "failed", "pruned"]
    assert results[4].reason == "a setting that cannot be"
    assert [result.value is None for result in results] == [False, False, *[True] * 4]
    assert list(results[3].intermediate) == [1]


def test_three_failures_in_a_row_end_the_worker(tmp_path: Path) -> None:
    choices = {"optim.lr": {"type": "categorical", "choices": [FAILING_LR]}}
    suite = write_sweep(tmp_path, space=choices)
    with pytest.raises(BenchError, match=r"3 trials in a row failed, .* a setting that cannot be"):
        carry_out(suite)
    state = read_state(begin(suite))
    assert [result.status for result in state.results("srn")] == ["failed"] * 3
    assert not state.is_done


@pytest.mark.parametrize("name", ["median", "percentile", "asha", "hyperband"])
def test_every_pruner_ends_bad_trials_early(tmp_path: Path, name: str) -> None:
    rest = {"startup": 1} if name in ("median", "percentile") else {"reduction": 2}
    changes = {
        "start": start(0.01, 0.01, 0.02, 0.1, 0.09, 0.1, 0.08, 0.07),
        "space": LR,
        "fixed": {"trainer.max_epochs": 6},
        "budget": {"trials": 8},
        "pruner": {"name": name, **rest},
    }
    results = carry_out(write_sweep(tmp_path, **changes)).results("srn")
    pruned = [result for result in results if result.status == "pruned"]
    assert results[0].status == "finished"
    assert pruned
    assert all(max(result.intermediate) < 6 for result in pruned)


def test_the_value_of_a_trial_is_the_mean_over_its_seeds(tmp_path: Path) -> None:
    suite = write_sweep(tmp_path, seeds=[1, 4, 6])
    for result in carry_out(suite).results("srn"):
        records = [read_record(suite.record_path("tiny", r, "trials")) for r in result.run_ids]
        assert [record.seed for record in records] == [1, 4, 6]
        values = [record.metrics["valid"] for record in records]
        assert result.value == pytest.approx(sum(values) / 3, rel=1e-15)
        assert list(result.intermediate) == [1, 2, 3, 4, 5, 6]
        assert result.seconds == sum(record.cost.seconds for record in records)


def test_the_best_configuration_is_run_in_full_with_fresh_seeds(tmp_path: Path) -> None:
    suite = write_sweep(tmp_path, seeds=[2, 3], repeat_best=3)
    state = carry_out(suite)
    best = state.best("srn")
    assert best is not None
    assert repeat_seeds(state.studies.sweep) == [4, 5, 6]
    records = suite.records("tiny")
    assert {record.seed for record in records} == {4, 5, 6}
    assert {record.config["optim"]["lr"] for record in records} == {best.chosen["optim.lr"]}
    assert all(set(record.metrics) == {"valid", "test"} for record in records)
    repeats = [seen.result.run_ids for seen in state.repeats["srn"]]
    assert sorted(repeats) == sorted([record.id] for record in records)


@pytest.fixture
def exited(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make every claim of this process look like one of a process that has exited."""
    monkeypatch.setattr(bench.sweep.claim, "process_identity", lambda: None)
    monkeypatch.setattr(bench.sweep.status, "has_exited", lambda _: True)
    return iter(())


@pytest.mark.usefixtures("exited")
def test_a_lost_trial_is_claimed_again_under_its_number(tmp_path: Path) -> None:
    suite = write_sweep(tmp_path)
    claims = Claims(begin(suite))
    first = claims.ask()
    assert isinstance(first, Claim)
    (seen,) = read_state(claims.studies).trials["srn"]
    assert seen.result.status == "lost"
    again = Claims(begin(suite)).ask()
    assert isinstance(again, Claim)
    assert (again.number, again.chosen) == (first.number, first.chosen)
    assert not claims.is_valid(first)
    assert not claims.tell(first, TrialOutcome(status="finished", value=1.0))
    assert claims.tell(again, TrialOutcome(status="finished", value=2.0))
    assert not claims.tell(again, TrialOutcome(status="finished", value=3.0))
    (result,) = read_state(claims.studies).results("srn")
    assert (result.status, result.value) == ("finished", 2.0)


@pytest.mark.usefixtures("exited")
def test_a_trial_that_loses_too_many_workers_fails(tmp_path: Path) -> None:
    claims = Claims(begin(write_sweep(tmp_path)))
    numbers = []
    for _ in range(MAX_LOSSES + 2):
        claim = claims.ask()
        assert isinstance(claim, Claim)
        numbers.append(claim.number)
    assert numbers == [0] * (MAX_LOSSES + 1) + [1]
    first = read_state(claims.studies).results("srn")[0]
    assert first.status == "failed"
    assert f"{MAX_LOSSES + 1} workers were lost" in str(first.reason)


def test_a_worker_waits_while_others_hold_the_last_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One process plays three workers here, so no trial may look like its own.
    monkeypatch.setattr(bench.sweep.claim, "is_own", lambda _: False)
    claims = [Claims(begin(write_sweep(tmp_path, budget={"trials": 2}))) for _ in range(3)]
    first, second, third = (each.ask() for each in claims)
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    assert {first.number, second.number} == {0, 1}
    assert third == "wait"
    assert claims[0].tell(first, TrialOutcome(status="failed", reason="no"))
    replacement = claims[2].ask()
    assert isinstance(replacement, Claim)
    assert claims[2].tell(replacement, TrialOutcome(status="finished", value=1.0))
    assert claims[2].ask() == "wait"
    assert claims[1].tell(second, TrialOutcome(status="pruned"))
    assert claims[2].ask() == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_worker_releases_its_trial_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    suite = write_sweep(tmp_path, fixed={"trainer.max_epochs": 5})

    def interrupted(*arguments: Any, **named: Any) -> Any:
        report = named["report"]

        def stop(epoch: int, value: float) -> None:
            report(epoch, value)
            if epoch == 3:
                os.kill(os.getpid(), number)

        return stub_train(*arguments, **{**named, "report": stop})

    monkeypatch.setattr(bench.runs.run, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        carry_out(suite)
    (seen,) = read_state(begin(suite)).trials["srn"]
    assert seen.result.status == "waiting"
    assert list(seen.result.intermediate) == [1, 2, 3]
    monkeypatch.setattr(bench.runs.run, "train", stub_train)
    state = carry_out(suite)
    assert [result.status for result in state.results("srn")] == ["finished"] * 4
    run_id = state.results("srn")[0].run_ids[0]
    log = (tmp_path / "log").read_text().splitlines()
    assert [line for line in log if line.startswith(f"begin {run_id}")] == [
        f"begin {run_id} after 0",
        f"begin {run_id} after 2",
    ]
    assert state.trials["srn"][0].frozen.user_attrs["resumed"] == 1


def test_a_stop_while_asking_is_deferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, ask = write_sweep(tmp_path), Claims.ask

    def interrupted(self: Claims) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return ask(self)

    monkeypatch.setattr(Claims, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        carry_out(suite)
    (result,) = read_state(begin(suite)).results("srn")
    assert result.status == "waiting"


@pytest.mark.parametrize(
    "change",
    [
        {"fixed": {"trainer.max_epochs": 2, "model.hidden_size": 4}},
        {"space": LR},
        {"sampler": {"name": "tpe", "seed": 4, "startup": 2}},
        {"pruner": {"name": "median"}},
        {"seeds": [1, 2]},
    ],
)
def test_a_changed_sweep_is_refused_until_its_trials_are_deleted(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    carry_out(write_sweep(tmp_path))
    suite = write_sweep(tmp_path, **change)
    with pytest.raises(BenchError, match=r"'small' has changed since .* another name.* --again"):
        begin(suite)
    delete_studies(load_sweep(suite, "small"), open_storage(default_url(suite, "small")))
    assert read_state(begin(suite)).results("srn") == []


def test_another_model_leaves_the_trials_of_the_first_unchanged(tmp_path: Path) -> None:
    before = carry_out(write_sweep(tmp_path, space=LR))
    after = carry_out(write_sweep(tmp_path, space=LR, models=["srn", "gru"]))
    assert after.results("srn") == before.results("srn")
    assert len(after.results("gru")) == 4


def test_a_sweep_that_has_not_begun_is_not_created_for_reading(tmp_path: Path) -> None:
    suite = write_sweep(tmp_path)
    storage = open_storage(default_url(suite, "small"))
    with pytest.raises(BenchError, match="sweep 'small' has not begun in sqlite:///"):
        open_studies(load_sweep(suite, "small"), suite, storage, missing="refuse")


def test_a_validation_may_be_reported_twice(tmp_path: Path) -> None:
    """Workers killed between the report and the checkpoint validate again."""
    suite = write_sweep(tmp_path, pruner={"name": "asha", "reduction": 2})
    studies = begin(suite)
    worker = Worker(studies, suite, run_options=RunOptions())
    claim = worker.claims.ask()
    assert isinstance(claim, Claim)
    from bench.sweep.space import resolve_trial

    resolved = resolve_trial(suite, studies.sweep, "srn", claim.chosen, 1)
    report = worker._make_report(claim, resolved, 0)
    verdicts = []
    for _ in range(3):
        try:
            report(1, 123.0)
            verdicts.append("go on")
        except PrunedError:
            verdicts.append("prune")
    assert len(set(verdicts)) == 1
    (seen,) = read_state(studies).trials["srn"]
    assert seen.result.intermediate == {1: 123.0}
