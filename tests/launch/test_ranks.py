"""Processes of a run: started together, ended together, one failure reported."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from processes import is_running, wait_for

from bench.core.errors import LostProcessError
from bench.launch.ranks import EXIT_PEER_LOST, PARENT_REPORTS, run_ranks

PROLOGUE = """
import json, os, pathlib, signal, sys, time
rank = int(os.environ["RANK"])
pathlib.Path(sys.argv[1], str(rank)).write_text(json.dumps([os.getpid(), dict(os.environ)]))
"""
SLEEP = "time.sleep(60)\n"


def command(folder: Path, *, first: str = "", second: str = "") -> list[str]:
    """Command that writes pid and environment, then runs `first` or `second` by rank."""
    parts = [
        PROLOGUE,
        "if rank == 0:",
        f"    {first or 'pass'}",
        "else:",
        f"    {second or 'pass'}",
    ]
    return [sys.executable, "-c", "\n".join(parts), str(folder)]


def pids(folder: Path) -> list[int]:
    return [json.loads((folder / str(rank)).read_text())[0] for rank in (0, 1)]


def test_each_process_has_its_rank(tmp_path: Path) -> None:
    assert run_ranks(command(tmp_path), 2) == 0
    environments = [json.loads((tmp_path / str(rank)).read_text())[1] for rank in (0, 1)]
    for rank, environment in enumerate(environments):
        assert environment["RANK"] == environment["LOCAL_RANK"] == str(rank)
        assert environment["WORLD_SIZE"] == "2"
        assert environment["GROUP_RANK"] == "0"
        assert PARENT_REPORTS in environment
    assert environments[0]["MASTER_PORT"] == environments[1]["MASTER_PORT"]


def test_a_failure_of_one_is_printed_and_ends_all(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fail = "print('bench: no such file', file=sys.stderr); sys.exit(2)"
    assert run_ranks(command(tmp_path, first=SLEEP, second=fail), 2, grace_sec=0.1) == 2
    assert capfd.readouterr().err == "bench: no such file\n"
    assert not any(map(is_running, pids(tmp_path)))


def test_of_two_failures_the_first_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fail = "print('bench: no', rank, file=sys.stderr); sys.exit(2)"
    assert run_ranks(command(tmp_path, first=fail, second=fail), 2) == 2
    assert capfd.readouterr().err == "bench: no 0\n"


@pytest.mark.parametrize("first", [SLEEP, f"time.sleep(0.3); sys.exit({EXIT_PEER_LOST})"])
def test_a_killed_process_is_named(tmp_path: Path, first: str) -> None:
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(LostProcessError, match="process 2 of 2 was killed by SIGKILL; the same"):
        run_ranks(command(tmp_path, first=first, second=kill), 2, grace_sec=0.5)
    assert not any(map(is_running, pids(tmp_path)))


def test_ctrl_c_is_passed_on(tmp_path: Path) -> None:
    def interrupt() -> None:
        wait_for(lambda: (tmp_path / "0").exists() and (tmp_path / "1").exists())
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    note = "pathlib.Path(sys.argv[1], 'stopped').touch()"
    on_interrupt = f"signal.signal(signal.SIGINT, lambda *_: ({note}, sys.exit(130))); {SLEEP}"
    with pytest.raises(KeyboardInterrupt):
        run_ranks(command(tmp_path, first=on_interrupt, second=SLEEP), 2, grace_sec=20)
    assert (tmp_path / "stopped").exists()
    assert not any(map(is_running, pids(tmp_path)))
