"""Two processes with the same configuration: one trains, the other waits and takes its record."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_task import make_suite, settings

import bench.runs.run
from bench.core.record import read_record
from bench.core.suite import Suite
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import RunOptions, run

FIRST_PROCESS = """
import sys, time
from pathlib import Path
import bench.runs.run
from bench.core.suite import Suite
from bench.runs.resolve import resolve
from tiny_task import settings

folder, train = Path(sys.argv[1]), bench.runs.run.train

def train_when_told(*arguments, **named):
    (folder / "training").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return train(*arguments, **named)

bench.runs.run.train = train_when_told
suite = Suite(folder=folder)
bench.runs.run.run(resolve(suite, "tiny", model="srn", overrides=settings()), suite)
"""
HOLDS = """
import sys, time
from filelock import FileLock

lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=make_suite(tmp_path))


@pytest.fixture
def resolved(suite: Suite) -> Resolved:
    return resolve(suite, "tiny", model="srn", overrides=settings())


def start_first(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the run and trains once there is a file `go`."""
    tests = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(tests.parent), str(tests)])
    first = subprocess.Popen(
        [sys.executable, "-c", FIRST_PROCESS, str(folder)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (folder / "training").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    return first


def test_the_second_process_waits_says_so_and_returns_the_first_ones_record(
    suite: Suite, resolved: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        pytest.fail("the second process trained")

    said: list[str] = []

    def busy(line: str) -> None:
        said.append(line)
        assert not suite.record_path("tiny", resolved.run_id).exists()
        (suite.folder / "go").touch()

    monkeypatch.setattr(bench.runs.run, "train", never)
    first = start_first(suite.folder)
    try:
        record = run(resolved, suite, RunOptions(busy=busy))
        _, errors = first.communicate(timeout=60)
    finally:
        first.kill()
    assert (first.returncode, errors) == (0, "")
    assert said == [f"another process is at run {resolved.run_id}; waiting for it to end"]
    assert record == read_record(suite.record_path("tiny", resolved.run_id))
    assert record.status == "finished"


def test_a_process_that_died_does_not_keep_the_run(suite: Suite, resolved: Resolved) -> None:
    def busy(line: str) -> None:
        raise BlockingIOError(line)

    folder = suite.artifacts("tiny", resolved.run_id)
    folder.mkdir(parents=True)
    command = [sys.executable, "-c", HOLDS, str(folder / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError):
            run(resolved, suite, RunOptions(busy=busy))
        other.kill()
    assert run(resolved, suite, RunOptions(busy=busy)).status == "finished"


def test_a_finished_run_is_read_without_writing_anything(suite: Suite, resolved: Resolved) -> None:
    record = run(resolved, suite)
    artifacts = suite.folder / "artifacts"
    for path in sorted(artifacts.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert run(resolved, suite) == record
    assert not list(artifacts.iterdir())
