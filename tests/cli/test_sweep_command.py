"""`bench sweep`: refusals, Ctrl-C and resuming, what is printed and what is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine, surroundings
from tiny_sweep import begin, write_sweep

from bench.core.suite import Suite
from bench.sweep.display import clock, progress, summary
from bench.sweep.status import read_state

OPTIONS = ("--track", "none", "--heartbeat", "1")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_files_that_are_missing_are_named_before_any_trial(
    bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    write_sweep(tmp_path, task="ptb", fixed={})
    said = bench("sweep", "small", "--suite", tmp_path)
    assert "ptb" in said.only_line
    assert not (tmp_path / "results").exists()


def start(suite: Suite, *more: object) -> subprocess.Popen[str]:
    command = ["sweep", "small", "--suite", suite.folder, *OPTIONS, *more]
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *map(str, command)],
        cwd=suite.folder,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_a_trial(suite: Suite, process: subprocess.Popen[str]) -> None:
    folder = suite.record_path("tiny", "any", "trials").parent
    while not list(folder.glob("*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_stops_and_the_same_command_goes_on(bench: CommandLine, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"budget": {"trials": 30}}
    suite = write_sweep(tmp_path, **changes)
    first = start(suite)
    wait_for_a_trial(suite, first)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=120)
    assert (first.returncode, out) == (130, ""), err
    assert "the same command goes on" in err
    stopped = read_state(begin(suite))
    told = stopped.results("srn")
    assert 1 <= len(told) < 30
    assert {result.status for result in told} <= {"finished", "waiting"}

    status = bench("sweep", "small", "--suite", tmp_path, "--status")
    assert status.status == 0
    assert f"{len(told) - len(stopped.unfinished())} finished" in status.out

    write_sweep(tmp_path, budget={"trials": len(told) + 2}, repeat_best=1)
    second = start(suite, "--resume", "--workers", "2")
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    state = read_state(begin(suite))
    assert [result.status for result in state.results("srn")] == ["finished"] * (len(told) + 2)
    assert state.is_done
    assert "srn trial" in err
    assert "valid perplexity" in out
    result = json.loads((suite.folder / "results" / "tiny" / "sweeps" / "small.json").read_text())
    assert len(result["trials"]) == len(told) + 2
    (run_id,) = result["repeats"]["srn"]
    assert suite.record_path("tiny", run_id).is_file()
    assert summary(state) in out
    assert "srn with 1 fresh seed: test" in out
    assert "done" in progress(state)[0]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65.4, "1:05"), (7385, "2:03:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
