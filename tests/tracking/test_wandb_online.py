"""Runs on W&B's server, and failures of the server, the key and the service."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import wandb
from loopback import KEY, HostedRun, Loopback
from tiny_task import make_suite
from tracked_runs import LONG, resolved, run_options, start_and_kill, untracked

from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.run import run
from bench.tracking.journal import Journal
from bench.tracking.tracker import fingerprint
from bench.tracking.wandb_file import offline_files

pytest_plugins = ["surroundings"]
pytestmark = pytest.mark.usefixtures("own_surroundings")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=make_suite(tmp_path / "suite"))


Arrived = tuple[Record, HostedRun, Loopback]


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory, hosted: Loopback) -> Arrived:
    """One run of three epochs and 120 steps with every option."""
    hosted.forget()
    suite = Suite(folder=make_suite(tmp_path_factory.mktemp("online")))
    given = run_options(
        group="first-table",
        mode="online",
        notes="a note",
        project="sequences",
        gradients=60,
        samples=4,
        artifacts="checkpoints,predictions,tables",
    )
    record = run(resolved(suite, **LONG), suite, given)
    return record, hosted.runs[f"tiny-{record.id}"], hosted


def test_the_run_has_the_records_name_and_the_user_s_options(arrived: Arrived) -> None:
    record, hosted_run, _ = arrived
    fields = hosted_run.fields
    assert hosted_run.project == "sequences"
    assert (fields["displayName"], fields["groupName"]) == (record.id, "first-table")
    assert (fields["jobType"], fields["notes"]) == ("training", "a note")
    assert sorted(fields["tags"]) == ["mine", "small", "srn", "tiny"]


def test_configuration_and_provenance_arrive(arrived: Arrived) -> None:
    record, hosted_run, _ = arrived
    for key, value in record.config.items():
        if value != {}:  # W&B leaves out what is empty
            assert hosted_run.config[key]["value"] == value, key
    provenance = hosted_run.config["provenance"]["value"]
    assert provenance["packages"] == record.provenance.packages
    assert provenance["commit"] == record.provenance.commit == hosted_run.fields.get("commit")


def test_every_validation_arrives_in_its_step(arrived: Arrived) -> None:
    record, hosted_run, _ = arrived
    rows = {row["_step"]: row for row in hosted_run.history}
    for point in record.curve:
        assert rows[point.step]["epoch/valid"] == pytest.approx(point.valid, rel=1e-12)
        assert rows[point.step]["epoch/lr"] == point.lr
    assert rows[100]["train/gradient_norm"] > 0


def test_gradients_arrive_as_histograms(arrived: Arrived) -> None:
    _, hosted_run, _ = arrived
    rows = [row for row in hosted_run.history if any(key.startswith("gradients/") for key in row)]
    assert [row["_step"] for row in rows] == [60, 120]
    gradient = rows[0]["gradients/embedding.weight"]
    assert gradient["_type"] == "histogram"
    assert sum(gradient["values"]) > 0


def test_system_metrics_arrive(arrived: Arrived) -> None:
    events = [json.loads(line) for line in arrived[1].kept("wandb-events.jsonl")]
    assert any(key.startswith("system.") for event in events for key in event)


def test_the_end_arrives_with_the_record_s_fingerprint(arrived: Arrived) -> None:
    record, hosted_run, _ = arrived
    assert hosted_run.state == "finished"
    for split, value in record.metrics.items():
        assert hosted_run.summary[f"final/{split}"] == pytest.approx(value, rel=1e-12)
    assert hosted_run.summary["num_parameters"] == record.cost.num_parameters
    assert hosted_run.summary["record"] == fingerprint(record)


def test_samples_arrive_as_a_table(arrived: Arrived) -> None:
    record, hosted_run, server = arrived
    assert hosted_run.summary["samples/test"]["_type"] == "table-file"
    assert not any("samples/test" in row for row in hosted_run.history)
    (table,) = [
        json.loads(content)
        for path, content in server.files.items()
        if path.startswith(f"tiny-{record.id}/media/table")
    ]
    assert table["columns"] == ["text"]
    assert len(table["data"]) == 4
    assert all(len(row[0].split()) == 40 for row in table["data"])


def test_artifacts_arrive_with_the_data_as_input(arrived: Arrived) -> None:
    record, _, server = arrived
    name = f"tiny-{record.id}"
    table, *others = server.artifacts
    assert table["artifactCollectionName"].startswith(f"run-{name}-samplestest")
    sent = {made["artifactCollectionName"]: made["artifactTypeName"] for made in others}
    assert sent == {
        "data-tiny": "dataset",
        f"weights-{name}": "model",
        f"predictions-{name}": "predictions",
        f"tables-{name}": "table",
    }
    numbers = {m["artifactCollectionName"]: f"A{i}" for i, m in enumerate(server.artifacts, 1)}
    assert (name, numbers["data-tiny"]) in server.used
    files = {path.rpartition("/")[2] for path in server.files if path.startswith("artifact/")}
    assert {"weights.pt", "texts-test.jsonl", "log_probs_test.npy", "record.json"} <= files
    assert {"table.md", "table.json", "checksums.json"} <= files


def test_nothing_but_the_run_is_sent(arrived: Arrived) -> None:
    assert [path for path in arrived[2].paths if not path.startswith(("/graphql", "/files"))] == []


def test_tracking_online_changes_no_number(arrived: Arrived, tmp_path: Path) -> None:
    plain = untracked(Suite(folder=tmp_path / "x"), **LONG)
    assert plain.metrics == arrived[0].metrics
    assert msgspec.to_builtins(plain.curve) == msgspec.to_builtins(arrived[0].curve)


@pytest.mark.slow
def test_a_killed_run_is_resumed_with_every_row_once(suite: Suite, server: Loopback) -> None:
    start_and_kill(suite, "online")
    record = run(resolved(suite, **LONG), suite, run_options(mode="online"))
    hosted_run = server.runs[f"tiny-{record.id}"]
    assert list(server.runs) == [hosted_run.name]
    assert hosted_run.num_starts == 2
    steps = [row["_step"] for row in hosted_run.history]
    assert steps == sorted(set(steps))
    assert {row.step for row in Journal(suite.artifacts("tiny", record.id)).rows()} <= set(steps)
    assert [row["epoch/epoch"] for row in hosted_run.history if "epoch/epoch" in row] == [1, 2, 3]
    assert hosted_run.state == "finished"


@pytest.fixture(params=["wrong key", "no key", "silent"])
def trouble(
    request: pytest.FixtureRequest, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """W&B unreachable from the start: no server, no key or a wrong one."""
    wandb.teardown()  # with the credentials of the session
    wandb.sdk.lib.wbauth.unauthenticate_session(update_settings=False)
    if request.param == "silent":
        server.trouble = "silent"
    elif request.param == "no key":
        monkeypatch.delenv("WANDB_API_KEY")
    else:
        monkeypatch.setenv("WANDB_API_KEY", "w" * 40)
    yield request.param
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    wandb.teardown()
    wandb.sdk.lib.wbauth.unauthenticate_session(update_settings=False)


@pytest.mark.usefixtures("trouble")
def test_an_unreachable_server_is_one_warning_and_the_run_is_kept_offline(
    suite: Suite, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> str:
        raise AssertionError("somebody was asked for a login")

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr("getpass.getpass", ask)
    record = run(resolved(suite), suite, run_options(mode="online", patience_sec=3))
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: W&B failed (")
    assert warning.endswith("kept offline: `bench sync` sends it later")
    assert record.metrics == untracked(suite).metrics
    assert len(offline_files(suite.artifacts("tiny", record.id))) == 1


def test_a_dead_service_is_one_warning(
    suite: Suite, server: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.training.callbacks import TrackCallback

    original = TrackCallback.on_train_epoch_end

    def kill_service(self: Any, trainer: Any, module: Any) -> None:
        connection: Any = wandb.setup()._connection
        if trainer.current_epoch == 0:
            os.kill(connection._proc._process.pid, signal.SIGKILL)
            connection._proc._process.wait()
        original(self, trainer, module)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(TrackCallback, "on_train_epoch_end", kill_service)
        record = run(resolved(suite, **LONG), suite, run_options(mode="online"))
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: W&B failed (")
    assert record.metrics == untracked(suite, **LONG).metrics
    # The next run of this process has a service again.
    second = run(resolved(suite, optim={"lr": 0.02}), suite, run_options(mode="online"))
    assert server.runs[f"tiny-{second.id}"].state == "finished"
    assert capsys.readouterr().err == ""


def test_a_server_that_loses_data_is_one_warning(
    suite: Suite, server: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    server.trouble = "forgetful"
    record = run(resolved(suite), suite, run_options(mode="online", patience_sec=2))
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: W&B lacks a part of the run (its server lacks 0 of 2 rows")
    assert record.metrics == untracked(suite).metrics
