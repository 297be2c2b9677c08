"""Workers through submitit, whose local executor takes the place of Slurm."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import submitit
from processes import is_running, wait_for
from small_sweep import sweep_through

from bench.core.errors import BenchError
from bench.launch import slurm
from bench.launch.launcher import EXIT_LOST, WorkerSpec, make_launcher
from bench.launch.slurm import SlurmLauncher, SlurmOptions, SlurmTask
from bench.launch.watch import watch

STOPS = """
import os, sys, time
try:
    print(os.getpid(), flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("stopped", flush=True)
    sys.exit(130)
"""


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setattr(slurm, "RESULT_DELAY_SEC", 0.5)


def python(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", program, *map(str, arguments)]


def spec(folder: Path, command: list[str]) -> WorkerSpec:
    return WorkerSpec(
        command=tuple(command), environment={}, log=folder / "worker-1.log", name="worker-1"
    )


def lines(folder: Path, number: int = 1) -> list[str]:
    logs = list(folder.glob(f"worker-{number}*.log"))
    return logs[0].read_text().splitlines() if logs else []


def test_jobs_report_exit_codes_and_get_logs_and_variables(tmp_path: Path) -> None:
    program = (
        "import os, sys\nprint(sys.argv[1], os.environ['COLOUR'], os.environ['OMP_NUM_THREADS'])\n"
        "print(os.getcwd())\nraise SystemExit(int(sys.argv[1]))"
    )
    ended = watch(
        make_launcher("slurm", {"cluster": "local", "cpus": "3"}),
        lambda number: python(program, 2 * (number - 1)),
        2,
        environment={"COLOUR": "blue"},
        logs=tmp_path,
        on_tick=lambda: None,
        is_done=lambda: False,
        max_restarts=0,
        poll_sec=0.1,
    )
    assert [end.exit_code for end in ended] == [0, 2]
    assert lines(tmp_path) == ["0 blue 3", str(Path.cwd())]
    assert lines(tmp_path, 2)[0] == "2 blue 3"


def test_ctrl_c_interrupts_the_job(tmp_path: Path) -> None:
    def interrupt_once_it_runs() -> None:
        if lines(tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(
            SlurmLauncher(SlurmOptions(cluster="local")),
            lambda _: python(STOPS),
            1,
            environment={},
            logs=tmp_path,
            on_tick=interrupt_once_it_runs,
            is_done=lambda: False,
            max_restarts=0,
            poll_sec=0.1,
        )
    assert lines(tmp_path)[1:] == ["stopped"]
    assert list((tmp_path / "submitit").glob("*.stop")) == []


def test_a_cancelled_job_ends_its_worker_and_is_lost(tmp_path: Path) -> None:
    launcher = SlurmLauncher(SlurmOptions(cluster="local"))
    worker = launcher.start(spec(tmp_path, python(STOPS)))
    until = time.monotonic() + 30
    while not lines(tmp_path) and time.monotonic() < until:
        assert worker.exit_code() is None
        time.sleep(0.1)
    worker.kill()
    while (code := worker.exit_code()) is None and time.monotonic() < until:
        time.sleep(0.1)
    assert code == EXIT_LOST
    wait_for(lambda: not is_running(int(lines(tmp_path)[0])))


def test_a_job_interrupts_its_worker_at_the_time_limit(tmp_path: Path) -> None:
    """SIGINT reaches the worker before submitit's exception ends the job."""
    runs_task = (
        "import pickle, signal, sys\n"
        "def up(*_): raise RuntimeError('time is up')\n"
        "signal.signal(signal.SIGUSR2, up)\n"
        "pickle.loads(bytes.fromhex(sys.argv[1]))()"
    )
    task = SlurmTask(spec=spec(tmp_path, python(STOPS)), stop=tmp_path / "stop")
    job = subprocess.Popen(python(runs_task, pickle.dumps(task).hex()), stderr=subprocess.PIPE)
    while not lines(tmp_path):
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR2)
    _, errors = job.communicate(timeout=30)
    assert b"time is up" in errors
    assert lines(tmp_path)[1:] == ["stopped"]


def test_options_become_parameters_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    class Executor:
        def __init__(self, *, folder: Path, cluster: str) -> None:
            given["cluster"] = cluster

        def update_parameters(self, **parameters: Any) -> None:
            given.update(parameters)

        def submit(self, task: SlurmTask) -> None:
            given["command"] = task.spec.command

    monkeypatch.setattr(submitit, "AutoExecutor", Executor)
    options = {"partition": "long", "time-min": "90", "cpus": "4", "gpus": "1", "memory-gb": "8"}
    launcher = make_launcher("slurm", options)
    launcher.start(spec(tmp_path, ["true"]))
    expected = {
        "cluster": "slurm",
        "command": ("true",),
        "slurm_partition": "long",
        "timeout_min": 90,
        "cpus_per_task": 4,
        "gpus_per_node": 1,
        "mem_gb": 8.0,
        "nodes": 1,
        "tasks_per_node": 1,
    }
    assert expected.items() <= given.items()


def test_a_missing_slurm_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    launcher = make_launcher("slurm")
    with pytest.raises(BenchError, match=r"--launcher slurm: .*srun"):
        launcher.start(spec(tmp_path, ["true"]))


@pytest.mark.slow
def test_a_sweep_in_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_through("slurm", tmp_path, monkeypatch, "--launcher.cluster", "local")
