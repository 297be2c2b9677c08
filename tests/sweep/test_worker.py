"""One worker: what it asks for, what it tells, when it ends."""

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
from bench.sweep.budget import fresh_seeds
from bench.sweep.claim import MAX_LOSSES, Claim, Claims, Told
from bench.sweep.specification import load_sweep
from bench.sweep.status import State, read_state
from bench.sweep.storage import default_url, open_storage
from bench.sweep.study import forget, open_studies
from bench.sweep.worker import Worker
from bench.training.callbacks import PrunedError


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.runs.run, "train", stub_train)
    monkeypatch.setattr("stub_training.EPOCH_SEC", 0.0)


def sittings(folder: Path) -> Counter[str]:
    """Run -> how often its training was begun or gone on with."""
    lines = (folder / "log").read_text().splitlines()
    return Counter(line.split()[1] for line in lines if line.startswith("begin"))


def essences(state: State) -> list[tuple[Any, ...]]:
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
def test_the_same_sweep_is_the_same_trials_wherever_it_stopped(tmp_path: Path, name: str) -> None:
    """Drawing depends on the history alone, not on the process that draws."""
    rest = {"startup": 2} if name == "tpe" else {}
    changes = {"budget": {"trials": 5}, "sampler": {"name": name, "seed": 5, **rest}}
    calm = carry_out(write_sweep(tmp_path / "calm", **changes))
    for trials in (1, 3, 5):
        suite = write_sweep(tmp_path / "often", **{**changes, "budget": {"trials": trials}})
        often = carry_out(suite)
    assert essences(often) == essences(calm)
    assert len({repr(result.chosen) for result in calm.results("srn")}) == 5


def test_a_larger_budget_goes_on_and_the_same_one_does_nothing(tmp_path: Path) -> None:
    carry_out(write_sweep(tmp_path))
    before = sittings(tmp_path)
    assert len(carry_out(write_sweep(tmp_path)).results("srn")) == 4
    assert sittings(tmp_path) == before
    assert len(carry_out(write_sweep(tmp_path, budget={"trials": 6})).results("srn")) == 6


FINITE = {"model.nonlinearity": {"type": "categorical", "choices": ["tanh", "sigmoid"]}}


def test_the_same_configuration_is_never_trained_twice(tmp_path: Path) -> None:
    changes = {"space": FINITE, "sampler": {"name": "random"}, "budget": {"trials": 9}}
    state = carry_out(write_sweep(tmp_path, **changes))
    assert [result.status for result in state.results("srn")] == ["finished"] * 9
    counts = sittings(tmp_path)
    assert len(counts) == 2
    assert set(counts.values()) == {1}
    values = {(r.run_ids[0], r.value, tuple(r.intermediate.values())) for r in state.results("srn")}
    assert len(values) == 2


def test_a_grid_ends_with_its_last_point(tmp_path: Path) -> None:
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
def test_no_trial_begins_once_the_budget_is_used_up(
    tmp_path: Path, budget: dict[str, float], num_trials: int
) -> None:
    state = carry_out(write_sweep(tmp_path, models=["srn", "gru"], budget=budget, space=LR))
    assert [len(state.results(model)) for model in ("srn", "gru")] == [num_trials] * 2


LR = {"optim.lr": {"type": "float", "low": 1e-3, "high": 0.1, "log": True}}


def test_models_take_turns(tmp_path: Path) -> None:
    state = carry_out(write_sweep(tmp_path, models=["srn", "gru"], space=LR))
    starts = [(s.stored.datetime_start, m) for m in ("srn", "gru") for s in state.trials[m]]
    order = [model for start, model in sorted(starts, key=lambda pair: str(pair[0]))]
    assert order == ["srn", "gru"] * 4


def start(*lrs: float) -> list[dict[str, float]]:
    return [{"optim.lr": lr} for lr in lrs]


def test_finished_pruned_diverged_and_failed_are_told_apart(tmp_path: Path) -> None:
    """Start points around the stub's optimum at 0.01; a failed trial is no budget."""
    changes = {
        "start": start(0.01, 0.01, DIVERGING_LR, 0.1, FAILING_LR, 0.0101),
        "space": LR,
        "budget": {"trials": 5},
        "pruner": {"name": "median", "startup": 1},
    }
    results = carry_out(write_sweep(tmp_path, **changes)).results("srn")
    told = [result.status for result in results]
    assert told == ["finished", "finished", "diverged", "pruned", "failed", "pruned"]
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


def test_several_seeds_are_one_trial_with_their_mean(tmp_path: Path) -> None:
    suite = write_sweep(tmp_path, seeds=[1, 4, 6])
    for result in carry_out(suite).results("srn"):
        records = [read_record(suite.record_path("tiny", r, "trials")) for r in result.run_ids]
        assert [record.seed for record in records] == [1, 4, 6]
        values = [record.metrics["valid"] for record in records]
        assert result.value == pytest.approx(sum(values) / 3, rel=1e-15)
        assert list(result.intermediate) == [1, 2, 3, 4, 5, 6]
        assert result.seconds == sum(record.cost.seconds for record in records)


def test_the_best_is_run_in_full_with_fresh_seeds(tmp_path: Path) -> None:
    suite = write_sweep(tmp_path, seeds=[2, 3], repeat_best=3)
    state = carry_out(suite)
    best = state.best("srn")
    assert best is not None
    assert fresh_seeds(state.studies.sweep) == [4, 5, 6]
    records = suite.records("tiny")
    assert {record.seed for record in records} == {4, 5, 6}
    assert {record.config["optim"]["lr"] for record in records} == {best.chosen["optim.lr"]}
    assert all(set(record.metrics) == {"valid", "test"} for record in records)
    repeats = [seen.result.run_ids for seen in state.repeats["srn"]]
    assert sorted(repeats) == sorted([record.id] for record in records)


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every claim of this process looks like one of a process that has ended."""
    monkeypatch.setattr(bench.sweep.claim, "identity", lambda: None)
    monkeypatch.setattr(bench.sweep.status, "is_gone", lambda _: True)
    return iter(())


@pytest.mark.usefixtures("gone")
def test_a_lost_trial_goes_on_under_its_own_number(tmp_path: Path) -> None:
    suite = write_sweep(tmp_path)
    claims = Claims(begin(suite))
    first = claims.next()
    assert isinstance(first, Claim)
    (seen,) = read_state(claims.studies).trials["srn"]
    assert seen.result.status == "lost"
    again = Claims(begin(suite)).next()
    assert isinstance(again, Claim)
    assert (again.number, again.chosen) == (first.number, first.chosen)
    assert not claims.holds(first)
    assert not claims.tell(first, Told(status="finished", value=1.0))
    assert claims.tell(again, Told(status="finished", value=2.0))
    assert not claims.tell(again, Told(status="finished", value=3.0))
    (result,) = read_state(claims.studies).results("srn")
    assert (result.status, result.value) == ("finished", 2.0)


@pytest.mark.usefixtures("gone")
def test_a_trial_that_loses_every_worker_is_given_up(tmp_path: Path) -> None:
    claims = Claims(begin(write_sweep(tmp_path)))
    numbers = []
    for _ in range(MAX_LOSSES + 2):
        claim = claims.next()
        assert isinstance(claim, Claim)
        numbers.append(claim.number)
    assert numbers == [0] * (MAX_LOSSES + 1) + [1]
    first = read_state(claims.studies).results("srn")[0]
    assert first.status == "failed"
    assert "11 workers were lost over it" in str(first.reason)


def test_a_worker_waits_for_others_and_never_takes_one_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One process asks for three workers here, so no trial may look like an orphan of its own.
    monkeypatch.setattr(bench.sweep.claim, "is_own", lambda _: False)
    claims = [Claims(begin(write_sweep(tmp_path, budget={"trials": 2}))) for _ in range(3)]
    first, second, third = (each.next() for each in claims)
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    assert {first.number, second.number} == {0, 1}
    assert third == "wait"
    assert claims[0].tell(first, Told(status="failed", reason="no"))
    replacement = claims[2].next()
    assert isinstance(replacement, Claim)
    assert claims[2].tell(replacement, Told(status="finished", value=1.0))
    assert claims[2].next() == "wait"
    assert claims[1].tell(second, Told(status="pruned"))
    assert claims[2].next() == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_worker_gives_its_trial_back_at_once(
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
    assert state.trials["srn"][0].stored.user_attrs["resumed"] == 1


def test_a_stop_amid_the_asking_waits_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, ask = write_sweep(tmp_path), Claims.next

    def stopped(self: Claims) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return ask(self)

    monkeypatch.setattr(Claims, "next", stopped)
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
def test_a_changed_sweep_is_refused_until_its_trials_are_forgotten(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    carry_out(write_sweep(tmp_path))
    suite = write_sweep(tmp_path, **change)
    with pytest.raises(BenchError, match=r"'small' has changed since .* another name.* --again"):
        begin(suite)
    forget(load_sweep(suite, "small"), open_storage(default_url(suite, "small")))
    assert read_state(begin(suite)).results("srn") == []


def test_another_model_joins_without_a_change_for_the_first(tmp_path: Path) -> None:
    before = carry_out(write_sweep(tmp_path, space=LR))
    after = carry_out(write_sweep(tmp_path, space=LR, models=["srn", "gru"]))
    assert after.results("srn") == before.results("srn")
    assert len(after.results("gru")) == 4


def test_a_sweep_that_has_not_begun_is_not_begun_by_looking(tmp_path: Path) -> None:
    suite = write_sweep(tmp_path)
    storage = open_storage(default_url(suite, "small"))
    with pytest.raises(BenchError, match="sweep 'small' has not begun in sqlite:///"):
        open_studies(load_sweep(suite, "small"), suite, storage, missing="refuse")


def test_a_report_may_say_the_same_twice(tmp_path: Path) -> None:
    """A worker killed between the report and its checkpoint validates again."""
    suite = write_sweep(tmp_path, pruner={"name": "asha", "reduction": 2})
    studies = begin(suite)
    worker = Worker(studies, suite, run_options=RunOptions())
    claim = worker.claims.next()
    assert isinstance(claim, Claim)
    from bench.sweep.space import resolve_trial
    from bench.sweep.worker import Sitting

    resolved = resolve_trial(suite, studies.sweep, "srn", claim.chosen, 1)
    report = worker._reporter(Sitting(claim=claim, begun=0.0), resolved, 0)
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
