"""Trials: runs without the test split; a run after a trial computes only the test."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tiny_task import CARD, make_suite, settings
from watched import Watched

import bench.runs.run
from bench.core.record import Record, read_record
from bench.core.suite import Suite
from bench.data.corpora import load_corpus
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import RunOptions, run, run_trial
from bench.text.data.prepared import as_text
from bench.text.objective import LanguageModel
from bench.training.callbacks import PrunedError

MODELS: dict[str, dict[str, Any]] = {
    "srn": settings(model={"hidden_size": 8}, trainer={"max_epochs": 3}),
    "ngram": {"model": {"order": 2}},
}


def resolved(suite: Suite, model: str = "srn") -> Resolved:
    return resolve(suite, "tiny", model=model, overrides=MODELS[model])


def make(folder: Path) -> Suite:
    """Suite whose task gives no option to the model, so that a baseline fits it, too."""
    make_suite(folder)
    (folder / "tasks" / "tiny.yaml").write_text(CARD.replace("    model: {hidden_size: 8}\n", ""))
    return Suite(folder=folder)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return make(tmp_path / "suite")


def ignore(*_: float) -> None:
    """Report callback that never prunes."""


def never_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any) -> Any:
        pytest.fail("it was trained again")

    monkeypatch.setattr(LanguageModel, "training_step", step)


@pytest.mark.parametrize("model", MODELS)
def test_a_trial_never_reads_the_test_split(
    suite: Suite, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    corpus = as_text(load_corpus(suite.card("tiny")), task="tiny")
    watched = dataclasses.replace(corpus, splits=Watched(corpus.splits, asked))
    monkeypatch.setattr(bench.runs.run, "load_corpus", lambda *_, **__: watched)
    record = run_trial(resolved(suite, model), suite, report=ignore)
    assert set(asked) == {"train", "valid"}
    assert set(record.metrics) == {"valid"}
    assert record.bound is None
    assert read_record(suite.record_path("tiny", record.id, "trials")) == record
    assert not suite.record_path("tiny", record.id).exists()


def lasting(record: Record) -> dict[str, Any]:
    """Fields that two runs of one configuration on one machine have in common."""
    names = ("id", "config", "digest", "metrics", "curve", "signature", "bound", "extra", "status")
    return {name: getattr(record, name) for name in names} | {"flops": record.cost.flops}


@pytest.mark.parametrize("model", MODELS)
def test_a_run_after_a_trial_equals_a_direct_run(
    tmp_path: Path, suite: Suite, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directly = make(tmp_path / "directly")
    direct = run(resolved(directly, model), directly)
    tried = run_trial(resolved(suite, model), suite, report=ignore)
    never_trains(monkeypatch)
    promoted = run(resolved(suite, model), suite)
    assert lasting(promoted) == lasting(direct)
    assert promoted.metrics["valid"] == tried.metrics["valid"]
    for path in directly.artifacts("tiny", direct.id).glob("weights.pt"):
        again = suite.artifacts("tiny", promoted.id) / path.name
        assert again.read_bytes() == path.read_bytes()


def test_every_validation_is_reported_as_the_record_has_it(suite: Suite) -> None:
    reported: list[tuple[int, float]] = []
    record = run_trial(resolved(suite), suite, report=lambda *point: reported.append(point))
    assert reported == [(point.epoch, point.valid) for point in record.curve]
    assert [epoch for epoch, _ in reported] == [1, 2, 3]


@pytest.mark.parametrize("first", ["run", "trial"])
def test_an_earlier_run_is_reported_and_not_trained_again(
    suite: Suite, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = (
        run(resolved(suite), suite)
        if first == "run"
        else run_trial(resolved(suite), suite, report=ignore)
    )
    never_trains(monkeypatch)
    reported: list[tuple[int, float]] = []
    record = run_trial(resolved(suite), suite, report=lambda *point: reported.append(point))
    assert record == earlier
    assert reported == [(point.epoch, point.valid) for point in earlier.curve]


def prune_at(last: int) -> Any:
    def report(epoch: int, _: float) -> None:
        if epoch == last:
            raise PrunedError

    return report


def test_a_pruned_trial_is_recorded_with_the_best_so_far(suite: Suite) -> None:
    record = run_trial(resolved(suite), suite, report=prune_at(2))
    assert record.status == "pruned"
    assert [point.epoch for point in record.curve] == [1, 2]
    assert record.metrics == {"valid": min(point.valid for point in record.curve)}
    assert record.cost.flops == record.cost.flops_per_token * 2 * 2000  # type: ignore[operator]
    assert run_trial(resolved(suite), suite, report=prune_at(1)) == record


def test_after_the_last_validation_nothing_is_pruned(suite: Suite) -> None:
    assert run_trial(resolved(suite), suite, report=prune_at(3)).status == "finished"


@pytest.mark.parametrize("then", ["run", "trial"])
def test_a_pruned_trial_resumes_in_another_sweep_or_run(
    tmp_path: Path, suite: Suite, then: str
) -> None:
    """Resumed runs have the numbers of one that was never stopped."""
    directly = make(tmp_path / "directly")
    direct = run(resolved(directly), directly)
    run_trial(resolved(suite), suite, report=prune_at(2))
    whole = (
        run(resolved(suite), suite)
        if then == "run"
        else run_trial(resolved(suite), suite, report=ignore)
    )
    assert whole.status == "finished"
    assert whole.curve == direct.curve
    assert whole.metrics["valid"] == direct.metrics["valid"]


def test_a_diverged_trial_has_its_cost_and_no_value(suite: Suite) -> None:
    groups: dict[str, Any] = {"model": {"hidden_size": 8}}
    overrides = settings(optim={"name": "sgd", "lr": 1e6, "clip": "none"}, **groups)
    record = run_trial(
        resolve(suite, "tiny", model="srn", overrides=overrides), suite, report=ignore
    )
    assert (record.status, record.metrics) == ("diverged", {})
    assert record.cost.flops
    assert 0 < record.cost.flops <= record.cost.flops_per_token * 2 * 2000  # type: ignore[operator]


def test_again_forgets_the_trial_with_its_checkpoint(suite: Suite) -> None:
    tried = run_trial(resolved(suite), suite, report=ignore)
    run(resolved(suite), suite, RunOptions(again=True))
    assert not suite.record_path("tiny", tried.id, "trials").exists()
