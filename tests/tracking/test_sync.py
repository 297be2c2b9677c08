"""`bench sync` sends what the server lacks, and only the server confirms it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import wandb
from command_line import CommandLine
from loopback import Loopback
from tiny_task import make_suite
from tracked_runs import LONG, resolved, run_options, start_and_kill

from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.run import run
from bench.tracking.tracker import fingerprint
from bench.tracking.wandb_file import offline_files

pytest_plugins = ["surroundings"]
pytestmark = pytest.mark.usefixtures("own_surroundings")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=make_suite(tmp_path / "suite"))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def finished_run(suite: Suite, *, track: bool = True) -> Record:
    """A finished run of three epochs, kept offline or not at all."""
    given = run_options("wandb" if track else "none", group="later", notes="kept")
    return run(resolved(suite, **LONG), suite, given)


@pytest.mark.parametrize("left", ["all", "journal", "record"])
def test_a_run_is_sent_once(suite: Suite, server: Loopback, bench: CommandLine, left: str) -> None:
    """With all of it on this machine, without W&B's own file, or with the record alone."""
    record = finished_run(suite, track=left != "record")
    if left == "journal":
        shutil.rmtree(suite.artifacts("tiny", record.id) / "wandb")
    first = bench("sync", "--suite", suite.folder)
    assert (first.status, first.out) == (0, f"sent          tiny-{record.id}\n")
    hosted_run = server.runs[f"tiny-{record.id}"]
    assert hosted_run.state == "finished"
    assert hosted_run.summary["record"] == fingerprint(record)
    rows = [row for row in hosted_run.history if "epoch/valid" in row]
    assert [row["_step"] for row in rows] == [point.step for point in record.curve]
    assert [row["epoch/valid"] for row in rows] == [point.valid for point in record.curve]
    assert [row["_step"] for row in hosted_run.history if "train/loss" in row] == (
        [] if left == "record" else [100]
    )
    assert hosted_run.fields.get("groupName") == (None if left == "record" else "later")
    assert hosted_run.fields.get("notes") == (None if left == "record" else "kept")
    num_operations, num_starts = len(server.operations), hosted_run.num_starts
    again = bench("sync", "--suite", suite.folder)
    assert (again.status, again.out) == (0, f"there         tiny-{record.id}\n")
    assert hosted_run.num_starts == num_starts
    assert set(server.operations[num_operations:]) <= {"Viewer", "GetDefaultEntity", "Run"}


def test_a_dry_run_sends_nothing(suite: Suite, server: Loopback, bench: CommandLine) -> None:
    record = finished_run(suite, track=False)
    said = bench("sync", "--suite", suite.folder, "--dry-run")
    assert said.out == f"to send       tiny-{record.id}: all of it\n"
    assert server.runs == {}


def test_missing_rows_are_added_to_a_run(
    suite: Suite, server: Loopback, bench: CommandLine
) -> None:
    """The server has lost the last rows and the end."""
    record = finished_run(suite, track=False)
    bench("sync", "--suite", suite.folder)
    hosted_run = server.runs[f"tiny-{record.id}"]
    del hosted_run.lines["wandb-history.jsonl"][2]
    hosted_run.summary["_step"] = 80
    hosted_run.state = "crashed"
    assert bench("sync", "--suite", suite.folder).out.startswith("sent")
    assert [row["_step"] for row in hosted_run.history] == [point.step for point in record.curve]
    assert hosted_run.state == "finished"


def test_a_new_record_is_sent_again(suite: Suite, server: Loopback, bench: CommandLine) -> None:
    record = finished_run(suite, track=False)
    bench("sync", "--suite", suite.folder)
    server.runs[f"tiny-{record.id}"].summary["record"] = "of another time"
    assert bench("sync", "--suite", suite.folder).out.startswith("sent")


def test_only_the_server_confirms_a_run(suite: Suite, server: Loopback, bench: CommandLine) -> None:
    record = finished_run(suite)
    server.trouble = "forgetful"
    said = bench("sync", "--suite", suite.folder, "--patience", "3")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"not confirmed tiny-{record.id}: ")
    server.trouble = "none"
    assert bench("sync", "--suite", suite.folder).out == f"sent          tiny-{record.id}\n"


@pytest.mark.slow
def test_a_killed_run_is_sent_and_then_completed(
    suite: Suite, server: Loopback, bench: CommandLine
) -> None:
    """Two offline sessions, with a `bench sync` after each."""
    start_and_kill(suite, "offline")
    place = ("--suite", suite.folder, "--wandb", "measurers/elsewhere")
    assert bench("sync", "tiny", *place).out.startswith("sent          tiny-srn-")
    (hosted_run,) = server.runs.values()
    assert hosted_run.project == "elsewhere"
    epochs = [row["epoch/epoch"] for row in hosted_run.history if "epoch/epoch" in row]
    assert epochs[:1] == [1]
    record = finished_run(suite)
    first, second = offline_files(suite.artifacts("tiny", record.id))
    assert first.with_suffix(".wandb.synced").is_file()
    assert not second.with_suffix(".wandb.synced").exists()
    assert bench("sync", *place).out == f"sent          tiny-{record.id}\n"
    assert [row["epoch/epoch"] for row in hosted_run.history if "epoch/epoch" in row] == [1, 2, 3]
    assert hosted_run.state == "finished"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "unknown task 'nothing'"),
        (["--run", "srn-nowhere"], "no run 'srn-nowhere'"),
        (["--wandb", "project-alone"], "--wandb project-alone: expected ENTITY/PROJECT"),
        (["--artifacts", "everything"], "no artifacts 'everything'"),
    ],
)
@pytest.mark.usefixtures("server")
def test_what_cannot_be_meant_is_refused(
    suite: Suite, bench: CommandLine, arguments: list[str], words: str
) -> None:
    assert words in bench("sync", *arguments, "--suite", suite.folder).only_line


def test_no_server_is_one_line(suite: Suite, server: Loopback, bench: CommandLine) -> None:
    finished_run(suite, track=False)
    server.trouble = "silent"
    wandb.teardown()
    said = bench("sync", "--suite", suite.folder, "--patience", "2")
    assert said.only_line.startswith("bench: W&B does not answer (")


def test_nothing_to_send_is_said(bench: CommandLine, tmp_path: Path) -> None:
    said = bench("sync", "--suite", tmp_path)
    assert said.status == 0
    assert "nothing to send" in said.out
