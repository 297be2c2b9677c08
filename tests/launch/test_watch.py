"""Local workers: started, replaced when they die, stopped in order, never orphaned."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from processes import is_running, wait_for

from bench.core.errors import BenchError
from bench.launch import tether
from bench.launch.launcher import Worker, WorkerSpec, make_launcher, thread_variables
from bench.launch.local import LocalLauncher
from bench.launch.watch import WatchedWorker, last_line, watch

STOPS_ON_INTERRUPT = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
try:
    (folder / f"{sys.argv[2]}.pid").write_text(str(os.getpid()))
    time.sleep(60)
except KeyboardInterrupt:
    with open(folder / "stopped", "a") as file:
        file.write(sys.argv[2] + "\\n")
    try:
        time.sleep(0.5)
    except KeyboardInterrupt:
        (folder / "twice").touch()
    sys.exit(130)
"""
WATCHES = """
import pathlib, sys
from bench.launch.local import LocalLauncher
from bench.launch.watch import watch

folder = pathlib.Path(sys.argv[1])
watch(
    LocalLauncher(),
    lambda number: [sys.executable, "-c", sys.argv[2], str(folder), str(number)],
    2,
    environment={},
    logs=folder / "logs",
    on_tick=lambda: None,
    is_done=lambda: False,
    max_restarts=0,
    poll_sec=0.05,
)
"""


def python(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", program, *map(str, arguments)]


def run(
    folder: Path,
    command_for: Callable[[int], Sequence[str]],
    num_workers: int = 1,
    **settings: Any,
) -> list[WatchedWorker]:
    defaults: dict[str, Any] = {
        "environment": {},
        "logs": folder / "logs",
        "on_tick": lambda: None,
        "is_done": lambda: False,
        "max_restarts": 2,
        "poll_sec": 0.02,
    }
    return watch(LocalLauncher(), command_for, num_workers, **{**defaults, **settings})


def pids(folder: Path) -> list[int]:
    """Pids of the processes that have written theirs."""
    texts = [path.read_text() for path in folder.glob("*.pid")]
    return [int(text) for text in texts if text]


def test_each_worker_has_its_number_its_log_and_the_added_variables(tmp_path: Path) -> None:
    program = "import os, sys; print(sys.argv[1], os.environ['COLOUR'], 'PATH' in os.environ)"
    ended = run(tmp_path, lambda n: python(program, n), 3, environment={"COLOUR": "blue"})
    assert [(end.name, end.exit_code, end.num_restarts) for end in ended] == [
        ("worker-1", 0, 0),
        ("worker-2", 0, 0),
        ("worker-3", 0, 0),
    ]
    assert [last_line(end.log) for end in ended] == [f"{n} blue True" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("program", "code", "num_starts"),
    [
        ("raise SystemExit(0)", 0, 1),
        ("raise SystemExit(2)", 2, 1),
        ("raise SystemExit(130)", 130, 1),
        ("import os; print(os.getpid(), flush=True); raise SystemExit(1)", 1, 3),
        ("import os; os.kill(os.getpid(), 9)", -9, 3),
    ],
)
def test_a_worker_that_dies_is_restarted_up_to_the_limit(
    tmp_path: Path, program: str, code: int, num_starts: int
) -> None:
    events: list[str] = []
    program = f"print('here', flush=True)\n{program}"
    (end,) = run(tmp_path, lambda _: python(program), on_event=events.append)
    assert (end.exit_code, end.num_restarts) == (code, num_starts - 1)
    assert end.log.read_text().splitlines().count("here") == num_starts
    assert len([line for line in events if "started again" in line]) == num_starts - 1
    assert [line for line in events if str(end.log) in line] == events[num_starts - 1 :]
    assert bool(events) == (code not in (0, 130)), "what went wrong is said, with the log's name"


def test_a_worker_that_dies_after_the_work_is_done_is_not_replaced(tmp_path: Path) -> None:
    (end,) = run(tmp_path, lambda _: python("raise SystemExit(1)"), is_done=lambda: True)
    assert (end.exit_code, end.num_restarts) == (1, 0)


def test_the_same_error_twice_without_progress_ends_a_worker(tmp_path: Path) -> None:
    program = "import sys; sys.exit('OverflowError: high must be finite')"
    events: list[str] = []
    (end,) = run(tmp_path, lambda _: python(program), on_event=events.append, max_restarts=50)
    assert (end.exit_code, end.num_restarts) == (1, 1)
    assert "OverflowError: high must be finite" in events[-1]


def test_progress_between_equal_errors_counts(tmp_path: Path) -> None:
    program, progress = "import sys; sys.exit('out of memory')", itertools.count()
    (end,) = run(
        tmp_path, lambda _: python(program), max_restarts=4, progress=lambda: next(progress)
    )
    assert (end.exit_code, end.num_restarts) == (1, 4)


def test_the_log_carries_host_and_process(tmp_path: Path) -> None:
    (end,) = run(tmp_path, lambda _: python("raise SystemExit(0)"))
    assert end.log.name == f"worker-1-{socket.gethostname()}-{os.getpid()}.log"


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    program = (
        "import os, sys, time\nprint(os.getpid(), flush=True)\n"
        "if open(sys.argv[1]).read().count('\\n') == 1: time.sleep(60)"
    )
    log = tmp_path / "logs" / f"worker-1-{socket.gethostname()}-{os.getpid()}.log"
    events: list[str] = []

    def kill_the_first() -> None:
        lines = log.read_text().splitlines()
        if len(lines) == 1 and is_running(int(lines[0])):
            os.kill(int(lines[0]), signal.SIGKILL)

    (end,) = run(
        tmp_path, lambda _: python(program, log), on_tick=kill_the_first, on_event=events.append
    )
    assert (end.exit_code, end.num_restarts) == (0, 1)
    assert events == ["worker-1 was killed by SIGKILL; started again (1 of 2)"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_reaches_each_worker_once(tmp_path: Path, how: signal.Signals) -> None:
    watcher = subprocess.Popen(
        python(WATCHES, tmp_path, STOPS_ON_INTERRUPT),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait_for(lambda: len(pids(tmp_path)) == 2)
    # A terminal signals the whole group: the workers must not be in it.
    os.killpg(watcher.pid, how)
    _, errors = watcher.communicate(timeout=30)
    assert errors.rstrip().endswith(b"KeyboardInterrupt")
    assert sorted((tmp_path / "stopped").read_text().split()) == ["1", "2"]
    assert not (tmp_path / "twice").exists()
    assert not any(map(is_running, pids(tmp_path)))


def test_no_worker_outlives_a_watcher_that_was_killed(tmp_path: Path) -> None:
    watcher = subprocess.Popen(python(WATCHES, tmp_path, STOPS_ON_INTERRUPT))
    wait_for(lambda: len(pids(tmp_path)) == 2)
    watcher.kill()
    watcher.wait()
    wait_for(lambda: not any(map(is_running, pids(tmp_path))))
    assert not (tmp_path / "stopped").exists()


def test_an_error_of_the_watcher_stops_the_workers_and_is_raised(tmp_path: Path) -> None:
    def fail() -> None:
        if pids(tmp_path):
            raise BenchError("the storage is gone")

    with pytest.raises(BenchError, match="the storage is gone"):
        run(tmp_path, lambda n: python(STOPS_ON_INTERRUPT, tmp_path, n), on_tick=fail)
    assert (tmp_path / "stopped").exists()
    assert not any(map(is_running, pids(tmp_path)))


def test_a_worker_that_does_not_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    stubborn = (
        "import os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "name = 'child' if os.fork() == 0 else 'parent'\n"
        "pathlib.Path(sys.argv[1], name + '.pid').write_text(str(os.getpid()))\n"
        "time.sleep(60)"
    )

    def interrupt() -> None:
        if len(pids(tmp_path)) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, lambda _: python(stubborn, tmp_path), on_tick=interrupt, grace_sec=0.2)
    wait_for(lambda: not any(map(is_running, pids(tmp_path))))


def test_sigint_arrives_although_the_parent_ignores_it(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        worker: Worker = LocalLauncher().start(
            WorkerSpec(
                command=tuple(python(STOPS_ON_INTERRUPT, tmp_path, 1)),
                environment={},
                log=tmp_path / "log",
                name="one",
            )
        )
    finally:
        signal.signal(signal.SIGINT, before)
    wait_for(lambda: bool(pids(tmp_path)))
    worker.interrupt()
    wait_for(lambda: worker.exit_code() == 130)


@pytest.mark.parametrize(
    ("parent", "program", "code"),
    [
        ("os.getppid()", "raise SystemExit(7)", 7),
        ("os.getppid()", "import os; os.kill(os.getpid(), 9)", 137),
        ("os.getpid()", "import time; time.sleep(60)", tether.EXIT_ORPHANED),
    ],
)
def test_the_polling_tether_returns_the_exit_code(parent: str, program: str, code: int) -> None:
    program_with_tether = (
        "import os, sys; from bench.launch import tether; "
        f"raise SystemExit(tether.run_child({parent}, sys.argv[1:]))"
    )
    done = subprocess.run(python(program_with_tether, *python(program)), timeout=30, check=False)
    assert done.returncode == code


def test_threads_divide_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = [thread_variables(n)["OMP_NUM_THREADS"] for n in (1, 2, 3, 8, 9)]
    assert found == ["8", "4", "2", "1", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert thread_variables(1)["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("local", {"cpus": "2"}, "unknown key 'launcher.cpus'"),
        ("slurm", {"partitoin": "x"}, "unknown key 'launcher.partitoin', did you mean 'partition'"),
        ("slurm", {"cpus": "two"}, "launcher.cpus: expected int, not 'two'"),
        ("ray", {"gpus": "-1"}, "launcher.gpus: expected float >= 0.0"),
    ],
)
def test_bad_options_are_refused(name: Any, options: dict[str, str], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        make_launcher(name, options)
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "module"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_package_is_named_with_its_extra(
    name: Any, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BenchError, match=rf"needs the package {module}.*sequence-bench\[{name}\]"):
        make_launcher(name)
