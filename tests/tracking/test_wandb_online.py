"""What arrives on W&B's server, and what happens where it does not."""

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
from tracked_runs import LONG, begin_and_kill, resolved, run_options, untracked

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
    """One run of three epochs and 120 steps with everything that can be asked for."""
    hosted.forget()
    suite = Suite(folder=make_suite(tmp_path_factory.mktemp("online")))
    asked = run_options(
        group="first-table",
        mode="online",
        notes="a note",
        project="sequences",
        gradients=60,
        samples=4,
        artifacts="checkpoints,predictions,tables",
    )
    record = run(resolved(suite, **LONG), suite, asked)
    return record, hosted.runs[f"tiny-{record.id}"], hosted


def test_the_run_goes_by_the_records_name_and_what_the_user_said(arrived: Arrived) -> None:
    record, told, _ = arrived
    fields = told.fields
    assert told.project == "sequences"
    assert (fields["displayName"], fields["groupName"]) == (record.id, "first-table")
    assert (fields["jobType"], fields["notes"]) == ("training", "a note")
    assert sorted(fields["tags"]) == ["mine", "small", "srn", "tiny"]


def test_configuration_and_provenance_arrive(arrived: Arrived) -> None:
    record, told, _ = arrived
    for key, value in record.config.items():
        if value != {}:  # W&B leaves out what is empty
            assert told.config[key]["value"] == value, key
    provenance = told.config["provenance"]["value"]
    assert provenance["packages"] == record.provenance.packages
    assert provenance["commit"] == record.provenance.commit == told.fields.get("commit")


def test_every_validation_arrives_in_its_step(arrived: Arrived) -> None:
    record, told, _ = arrived
    rows = {row["_step"]: row for row in told.history}
    for point in record.curve:
        assert rows[point.step]["epoch/valid"] == pytest.approx(point.valid, rel=1e-12)
        assert rows[point.step]["epoch/lr"] == point.lr
    assert rows[100]["train/gradient_norm"] > 0


def test_gradients_arrive_as_histograms_every_so_many_steps(arrived: Arrived) -> None:
    _, told, _ = arrived
    rows = [row for row in told.history if any(key.startswith("gradients/") for key in row)]
    assert [row["_step"] for row in rows] == [60, 120]
    gradient = rows[0]["gradients/embedding.weight"]
    assert gradient["_type"] == "histogram"
    assert sum(gradient["values"]) > 0


def test_what_the_machine_was_doing_arrives(arrived: Arrived) -> None:
    events = [json.loads(line) for line in arrived[1].kept("wandb-events.jsonl")]
    assert any(key.startswith("system.") for event in events for key in event)


def test_the_end_arrives_and_says_which_record_it_is_of(arrived: Arrived) -> None:
    record, told, _ = arrived
    assert told.state == "finished"
    for split, value in record.metrics.items():
        assert told.summary[f"final/{split}"] == pytest.approx(value, rel=1e-12)
    assert told.summary["num_parameters"] == record.cost.num_parameters
    assert told.summary["record"] == fingerprint(record)


def test_samples_arrive_as_a_table(arrived: Arrived) -> None:
    record, told, server = arrived
    assert told.summary["samples/test"]["_type"] == "table-file"
    assert not any("samples/test" in row for row in told.history)
    (table,) = [
        json.loads(content)
        for path, content in server.files.items()
        if path.startswith(f"tiny-{record.id}/media/table")
    ]
    assert table["columns"] == ["text"]
    assert len(table["data"]) == 4
    assert all(len(row[0].split()) == 40 for row in table["data"])


def test_artifacts_arrive_after_the_data_they_came_from(arrived: Arrived) -> None:
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
def test_a_killed_run_goes_on_as_the_same_run_with_every_row_once(
    suite: Suite, server: Loopback
) -> None:
    begin_and_kill(suite, "online")
    record = run(resolved(suite, **LONG), suite, run_options(mode="online"))
    told = server.runs[f"tiny-{record.id}"]
    assert list(server.runs) == [told.name]
    assert told.num_begun == 2
    steps = [row["_step"] for row in told.history]
    assert steps == sorted(set(steps))
    assert {row.step for row in Journal(suite.artifacts("tiny", record.id)).rows()} <= set(steps)
    assert [row["epoch/epoch"] for row in told.history if "epoch/epoch" in row] == [1, 2, 3]
    assert told.state == "finished"


@pytest.fixture(params=["wrong key", "no key", "silent"])
def trouble(
    request: pytest.FixtureRequest, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """W&B out of reach in one way or another, from the beginning on."""
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
def test_out_of_reach_is_one_warning_and_the_run_is_kept_for_later(
    suite: Suite, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> str:
        raise AssertionError("somebody was asked for a login")

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr("getpass.getpass", ask)
    record = run(resolved(suite), suite, run_options(mode="online", patience_sec=3))
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: W&B is out (")
    assert warning.endswith("kept offline: `bench sync` sends it later")
    assert record.metrics == untracked(suite).metrics
    assert len(offline_files(suite.artifacts("tiny", record.id))) == 1


def test_a_service_that_dies_costs_one_warning(
    suite: Suite, server: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.tracking.callback import TrackCallback

    told = TrackCallback.on_train_epoch_end

    def kill_service(self: Any, trainer: Any, module: Any) -> None:
        connection: Any = wandb.setup()._connection
        if trainer.current_epoch == 0:
            os.kill(connection._proc._process.pid, signal.SIGKILL)
            connection._proc._process.wait()
        told(self, trainer, module)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(TrackCallback, "on_train_epoch_end", kill_service)
        record = run(resolved(suite, **LONG), suite, run_options(mode="online"))
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: W&B is out (")
    assert record.metrics == untracked(suite, **LONG).metrics
    # The next run of this process has a service again.
    second = run(resolved(suite, optim={"lr": 0.02}), suite, run_options(mode="online"))
    assert server.runs[f"tiny-{second.id}"].state == "finished"
    assert capsys.readouterr().err == ""


def test_a_server_that_loses_what_it_takes_is_not_believed(
    suite: Suite, server: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    server.trouble = "forgetful"
    record = run(resolved(suite), suite, run_options(mode="online", patience_sec=2))
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: W&B lacks a part of the run (its server lacks 0 of 2 rows")
    assert record.metrics == untracked(suite).metrics
