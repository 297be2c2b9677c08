"""Runs mirrored to W&B: offline by default, complete, and never able to break a run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import wandb
from loopback import Loopback
from offline_file import Offline, read_offline
from tiny_task import make_suite
from tracked_runs import LONG, options, resolved, untracked

from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.run import RunOptions, run
from bench.tracking import guard
from bench.tracking.wandb_file import becomes_complete, offline_files

pytest_plugins = ["surroundings"]
pytestmark = pytest.mark.usefixtures("own_surroundings")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=make_suite(tmp_path / "suite"))


OPTIONS = RunOptions(track="wandb", group="first-table", tags=("mine", "small"))


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Offline]:
    """One tracked run of three epochs and 120 steps: its record and its offline file."""
    suite = Suite(folder=make_suite(tmp_path_factory.mktemp("tracked")))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("WANDB_MODE", raising=False)
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        record = run(resolved(suite, **LONG), suite, OPTIONS)
    return record, read_offline(suite.artifacts("tiny", record.id))


def test_the_run_goes_by_the_records_name_group_and_tags(tracked: tuple[Record, Offline]) -> None:
    record, offline = tracked
    assert offline.run_id == f"tiny-{record.id}"
    assert offline.group == "first-table"
    assert sorted(offline.tags) == ["mine", "small", "srn", "tiny"]


def test_the_configuration_is_logged(tracked: tuple[Record, Offline]) -> None:
    record, offline = tracked
    for key, value in record.config.items():
        assert offline.config[key] == value, key
    assert offline.config["recipe"] == "default"
    assert offline.config["card_version"] == 1


def test_a_run_that_was_stopped_leaves_the_next_one_alone(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a worker, which goes from trial to trial."""

    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    first, second = (resolved(suite, optim={"lr": lr}) for lr in (0.01, 0.02))
    with monkeypatch.context() as context:
        context.setattr("bench.text.objective.LanguageModel.validation_step", stop)
        with pytest.raises(KeyboardInterrupt):
            run(first, suite, OPTIONS)
    record = run(second, suite, OPTIONS)
    tracked = {
        name: read_offline(suite.artifacts("tiny", name)) for name in (first.run_id, record.id)
    }
    assert {name: offline.run_id for name, offline in tracked.items()} == {
        name: f"tiny-{name}" for name in tracked
    }
    assert tracked[first.run_id].exit_code == 1
    assert tracked[record.id].exit_code == 0


def test_every_validation_is_logged(tracked: tuple[Record, Offline]) -> None:
    record, offline = tracked
    rows = [row for row in offline.history if "epoch/valid" in row]
    assert len(rows) == len(record.curve) == 3
    for row, point in zip(rows, record.curve, strict=True):
        for name in ("epoch", "train", "valid", "lr"):
            assert row[f"epoch/{name}"] == pytest.approx(getattr(point, name), rel=1e-12), name
        assert row["_step"] == point.step


def test_steps_inside_an_epoch_are_logged(tracked: tuple[Record, Offline]) -> None:
    _, offline = tracked
    (row,) = [row for row in offline.history if "train/loss" in row]
    assert row["_step"] == 100
    assert row["train/gradient_norm"] > 0


def test_the_final_metrics_are_logged(tracked: tuple[Record, Offline]) -> None:
    record, offline = tracked
    for split, value in record.metrics.items():
        assert offline.summary[f"final/{split}"] == pytest.approx(value, rel=1e-12)
    assert offline.summary["status"] == "finished"
    assert offline.summary["num_parameters"] == record.cost.num_parameters
    assert offline.exit_code == 0


@pytest.mark.parametrize(
    ("environment", "given", "modes"),
    [
        ({}, {}, ["offline"]),
        ({"WANDB_API_KEY": "0" * 40}, {}, ["offline"]),
        ({"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40}, {}, ["online", "offline"]),
        ({"WANDB_API_KEY": "0" * 40}, {"mode": "online"}, ["online", "offline"]),
        ({"WANDB_MODE": "disabled"}, {}, []),
        ({"WANDB_MODE": "online"}, {"mode": "offline"}, ["offline"]),
        ({"WANDB_MODE": "online"}, {"mode": "disabled"}, []),
    ],
)
def test_offline_by_default_and_if_online_fails(
    suite: Suite,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    given: dict[str, Any],
    modes: list[str],
) -> None:
    modes_used: list[str] = []

    def init(**named: Any) -> Any:
        modes_used.append(named["mode"])
        raise RuntimeError("not in a test")

    monkeypatch.setattr(wandb, "init", init)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run(resolved(suite), suite, RunOptions(track="wandb", tracking=options(**given)))
    assert modes_used == modes


class Broken:
    """A W&B run that fails at the first number."""

    resumed = False
    settings = SimpleNamespace(sync_file="nowhere.wandb")

    def log(self, *arguments: Any, **named: Any) -> None:
        raise ConnectionError("no route")


@pytest.mark.parametrize("where", ["init", "log"])
def test_a_tracker_that_fails_costs_one_warning(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    def init(**_: Any) -> Any:
        if where == "init":
            raise ConnectionError("no route")
        return Broken()

    monkeypatch.setattr(wandb, "init", init)
    record = run(resolved(suite), suite, OPTIONS)
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: W&B failed (no route)")
    assert record.status == "finished"
    assert record.metrics == untracked(suite).metrics


def test_a_run_is_complete_without_the_package(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    guard._say_once.cache_clear()
    record = run(resolved(suite), suite, OPTIONS)
    run(resolved(suite, optim={"lr": 0.02}), suite, OPTIONS)
    said = capsys.readouterr().err
    assert said.count("wandb is not installed, the run is not tracked") == 1
    assert "warning" not in said
    assert record.metrics == untracked(suite).metrics


def test_tracking_changes_no_number(tracked: tuple[Record, Offline], suite: Suite) -> None:
    record, _ = tracked
    plain = run(resolved(suite, **LONG), suite, RunOptions(track="none"))
    assert plain.id == record.id
    assert plain.metrics == record.metrics
    assert msgspec.to_builtins(plain.curve) == msgspec.to_builtins(record.curve)


def test_offline_nothing_leaves_this_machine(suite: Suite, server: Loopback) -> None:
    wandb.teardown()  # a service that has never been online
    record = run(resolved(suite), suite, OPTIONS)
    wandb.teardown()
    assert record.status == "finished"
    assert server.paths == []


def test_samples_are_logged(tracked: tuple[Record, Offline]) -> None:
    _, offline = tracked
    assert offline.summary["samples/test"]["_type"] == "table-file"
    assert offline.summary["samples/test"]["nrows"] == 10


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_offline_file_is_not_complete(
    suite: Suite, tmp_path: Path, share: float
) -> None:
    record = run(resolved(suite), suite, OPTIONS)
    (path,) = offline_files(suite.artifacts("tiny", record.id))
    content = path.read_bytes()
    assert becomes_complete(path)
    cut = tmp_path / "cut.wandb"
    cut.write_bytes(content[: int(share * len(content))])
    assert not becomes_complete(cut, wait_sec=0)


def test_a_truncated_offline_file_is_one_warning(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.tracking.wandb_run.becomes_complete", lambda *_: False)
    record = run(resolved(suite), suite, OPTIONS)
    assert "is incomplete, the disk may be full" in capsys.readouterr().err
    assert record.metrics == untracked(suite).metrics


def test_an_unwritable_journal_is_one_warning(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = resolved(suite)
    folder = suite.artifacts("tiny", stopped.run_id)
    folder.mkdir(parents=True)
    (folder / "history.jsonl").mkdir()
    record = run(stopped, suite, OPTIONS)
    assert capsys.readouterr().err.count("warning: W&B failed (") == 1
    assert record.metrics == untracked(suite).metrics


def test_only_the_first_process_has_a_tracker(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    record = run(resolved(suite), suite, OPTIONS)
    assert offline_files(suite.artifacts("tiny", record.id)) == []
