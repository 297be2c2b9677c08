"""`bench reproduce` on a tiny task: in one process and with two workers, killed and stopped."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from processes import is_running
from published_rows import BAD_ROW, LONG_ROWS, ROWS, make_suite_with

from bench.cli import main
from bench.core.record import read_record
from bench.core.suite import Suite
from bench.launch.local import LocalLauncher
from bench.reproduce.call import ReproduceOptions
from bench.reproduce.carry_out import run_with_workers
from bench.reproduce.session import Session, open_session


class Call:
    """Calls `bench reproduce tiny` in this process."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self._patch, self._capsys = folder, patch, capsys

    def __call__(self, *arguments: object) -> tuple[object, str, str]:
        """Exit code, standard output, standard error."""
        words = ["reproduce", "tiny", "--track", "none", "--suite", self.folder, *arguments]
        self._patch.setattr(sys, "argv", ["bench", *map(str, words)])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        return code, *self._capsys.readouterr()


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    return Call(make_suite_with(tmp_path), monkeypatch, capsys)


def records(folder: Path) -> dict[str, float]:
    """Run -> test metric."""
    found = map(read_record, sorted(folder.glob("results/tiny/runs/*.json")))
    return {record.id: record.metrics.get("test", 0.0) for record in found}


def table_rows(output: str) -> dict[str, list[str]]:
    """Label -> the other cells of the printed table."""
    lines = [line.split("|")[1:-1] for line in output.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_every_kind_of_row_becomes_a_row_of_the_table(call: Call) -> None:
    code, out, err = call("--seeds", 2)
    assert code == 0, err
    made = records(call.folder)
    kinds = [run_id.partition("-")[0] for run_id in made]
    assert sorted(kinds) == ["mix", "mix", "ngram", *["srn"] * 6]
    rows = table_rows(out)
    for label in ("SRN, 8 hidden", "SRN, wide", "SRN + bigram + cache"):
        assert "2" in rows[label], "two seeds"
    assert "1" in rows["Bigram"]
    assert any(cell.startswith("not run") for cell in rows["Unheard of"])
    assert any(cell.startswith("not comparable") for cell in rows["SRN, dynamic evaluation"])
    ended = [line for line in err.splitlines() if line.startswith("[")]
    assert [line.partition("]")[0] for line in ended] == [f"[{n}/9" for n in range(1, 10)]
    code, again, err = call("--seeds", 2)
    assert (code, again) == (0, out)
    assert "9 runs: 9 done, 0 to do" in err
    assert records(call.folder) == made


def test_a_dry_run_runs_nothing(call: Call) -> None:
    code, out, err = call("--dry-run", "--rows", "srn, 8*", "bigram", "--seeds", 3)
    assert (code, err) == (0, "")
    assert "4 runs: 0 done, 4 to do; about" in out
    assert not (call.folder / "artifacts").exists()
    assert records(call.folder) == {}


def test_only_selected_rows_are_run_and_shown(call: Call) -> None:
    code, out, _ = call("--rows", "Bigram", "--rows", "unheard*", "--seeds", 2)
    assert code == 0
    assert [run_id.partition("-")[0] for run_id in records(call.folder)] == ["ngram"]
    assert {"Bigram", "Unheard of"} <= set(table_rows(out))
    assert "SRN, wide" not in out


def test_a_failed_run_is_reported_at_the_end_and_the_others_go_on(call: Call) -> None:
    make_suite_with(call.folder, ROWS + BAD_ROW)
    code, out, err = call("--rows", "streams*", "bigram", "--seeds", 1)
    assert code == 1
    assert "Bigram" in out
    last = err.splitlines()[-1]
    assert last.startswith("gru-")
    assert "failed: " in last
    assert [run_id.partition("-")[0] for run_id in records(call.folder)] == ["ngram"]


def test_a_component_without_weights_is_trained_anew(call: Call) -> None:
    call("--rows", "SRN, 8*", "--seeds", 1)
    ((run_id, value),) = records(call.folder).items()
    for path in (call.folder / "artifacts" / "tiny" / run_id).iterdir():
        path.unlink()
    code, _, err = call("--rows", "*dynamic*", "--seeds", 1)
    assert code == 0, err
    assert "1 (1 anew)" in err
    made = records(call.folder)
    assert len(made) == 2
    assert made[run_id] == value, "the same machine makes the same number"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "scnr"], "--rows 'scnr' matches no published row of tiny, did you mean 'srn'"),
        (["--seeds", "0"], "--seeds and --workers are 1 or more"),
        (["--launcher.cpus", "2", "--workers", "2"], "unknown key 'launcher.cpus'"),
    ],
)
def test_bad_arguments_are_refused(call: Call, arguments: list[str], message: str) -> None:
    code, _, err = call(*arguments)
    assert code == 2
    assert err.splitlines()[-1].startswith("bench: ")
    assert message in err


def test_runs_fail_if_no_worker_can_start(tmp_path: Path) -> None:
    options = ReproduceOptions(
        suite=Suite(folder=make_suite_with(tmp_path)), task="tiny", num_seeds=1
    )
    plan = options.plan()
    job = options.job(plan, open_session(tmp_path / "artifacts", "tiny"), "quiet")
    command = [sys.executable, "-c", "print('no licence'); raise SystemExit(2)"]
    outcomes = run_with_workers(
        LocalLauncher(), job, lambda _: command, num_workers=2, environment={}
    )
    assert set(outcomes) == {step.run_id for step in plan.steps}
    assert {outcome.status for outcome in outcomes.values()} == {"failed"}
    assert all("no worker is left" in str(outcome.reason) for outcome in outcomes.values())


def running(folder: Path) -> dict[str, int]:
    """Run -> pid of its worker, in the newest session."""
    sessions = sorted((folder / "artifacts" / "reproduce").glob("tiny-*"))
    activities = Session(sessions[-1]).activities().values() if sessions else ()
    return {activity.run_id: activity.pid for activity in activities}


class SignalSender(threading.Thread):
    """Sends a signal, to a worker or to this process, as soon as a worker carries out a run."""

    def __init__(self, folder: Path, number: signal.Signals, *, to: str) -> None:
        super().__init__(daemon=True)
        self.folder, self.number, self.to = folder, number, to
        self.run_id, self.pid = "", 0

    def run(self) -> None:
        until = time.monotonic() + 100
        while not (found := running(self.folder)) and time.monotonic() < until:
            time.sleep(0.005)
        self.run_id, self.pid = next(iter(found.items()))
        os.kill(self.pid if self.to == "worker" else os.getpid(), self.number)


@pytest.mark.slow
def test_two_workers_share_the_runs_and_a_killed_one_is_replaced(call: Call) -> None:
    make_suite_with(call.folder, LONG_ROWS)
    sender = SignalSender(call.folder, signal.SIGKILL, to="worker")
    sender.start()
    code, out, err = call("--seeds", 2, "--workers", 2)
    assert code == 0, err
    assert "was killed by SIGKILL; started again (1 of 12)" in err
    made = records(call.folder)
    assert len(made) == 4
    assert sender.run_id in made
    assert {"srn, long", "gru, long"} <= set(table_rows(out))
    ended = [line for line in err.splitlines() if line.startswith("[")]
    assert sorted(line.split()[1] for line in ended) == sorted(made)


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_the_same_command_goes_on(call: Call) -> None:
    make_suite_with(call.folder, LONG_ROWS)
    sender = SignalSender(call.folder, signal.SIGINT, to="watcher")
    sender.start()
    code, out, err = call("--seeds", 1, "--workers", 2)
    assert (code, out) == (130, "")
    assert "the same command goes on" in err
    assert not is_running(sender.pid)
    assert sender.run_id not in records(call.folder)
    code, _, err = call("--seeds", 1)
    assert code == 0, err
    assert len(records(call.folder)) == 2
