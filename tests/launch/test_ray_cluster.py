"""Workers on a real Ray cluster of two nodes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import is_running, wait_for
from small_sweep import sweep_through

from bench.core.errors import BenchError
from bench.launch.launcher import EXIT_LOST, Worker, WorkerSpec, make_launcher
from bench.launch.ray_cluster import EXIT_NEVER_STARTED, RayLauncher, RayOptions
from bench.launch.watch import WatchedWorker, watch

pytestmark = pytest.mark.slow
STOPS = """
import os, sys, time
try:
    print(os.getpid(), flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("stopped", flush=True)
    sys.exit(130)
"""
PRINTS_NODE = """
import os, pathlib, time
print(os.environ["COLOUR"], os.environ["OMP_NUM_THREADS"], os.getcwd(), flush=True)
actor = pathlib.Path(f"/proc/{os.getppid()}/stat").read_text()
print("node", actor.rpartition(")")[2].split()[1], flush=True)  # the actor's parent
time.sleep(1)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a cluster of two nodes with one CPU each."""
    root = Path(__file__).resolve().parents[2]
    before = {key: os.environ.get(key) for key in ("PYTHONPATH", "RAY_USAGE_STATS_ENABLED")}
    os.environ.update(PYTHONPATH=str(root), RAY_USAGE_STATS_ENABLED="0")
    from ray.cluster_utils import Cluster

    memory = 80 * 2**20
    nodes = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "object_store_memory": memory,
            "include_dashboard": False,
        },
    )
    nodes.add_node(num_cpus=1, object_store_memory=memory)
    nodes.wait_for_nodes()
    yield nodes.address
    nodes.shutdown()  # type: ignore[no-untyped-call]
    for key, value in before.items():
        os.environ.pop(key, None)
        if value is not None:
            os.environ[key] = value


@pytest.fixture
def launcher(cluster: str) -> Iterator[RayLauncher]:
    made = RayLauncher(RayOptions(address=cluster))
    yield made
    made.close()


def python(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", program, *map(str, arguments)]


def run(launcher: Any, folder: Path, program: str, **settings: Any) -> list[WatchedWorker]:
    defaults: dict[str, Any] = {
        "environment": {"COLOUR": "blue"},
        "logs": folder,
        "on_tick": lambda: None,
        "is_done": lambda: False,
        "max_restarts": 1,
        "poll_sec": 0.1,
    }
    return watch(launcher, lambda n: python(program, n), 2, **{**defaults, **settings})


def lines(folder: Path, number: int) -> list[str]:
    logs = list(folder.glob(f"worker-{number}*.log"))
    return logs[0].read_text().splitlines() if logs else []


def test_two_workers_use_both_nodes(launcher: RayLauncher, tmp_path: Path) -> None:
    ended = run(launcher, tmp_path, PRINTS_NODE)
    assert [end.exit_code for end in ended] == [0, 0]
    found = [lines(tmp_path, number) for number in (1, 2)]
    assert [first for first, _ in found] == [f"blue 1 {Path.cwd()}"] * 2
    nodes = {second for _, second in found}
    assert len(nodes) == 2, nodes


def test_exit_codes_are_reported_and_a_killed_worker_is_replaced(
    launcher: RayLauncher, tmp_path: Path
) -> None:
    program = (
        "import os, sys\nif sys.argv[1] == '2': raise SystemExit(2)\n"
        f"import glob\nlog = open(glob.glob({str(tmp_path)!r} + '/worker-1-*.log')[0]).read()\n"
        "print('here', flush=True)\n"
        "if not log: os.kill(os.getpid(), 9)"
    )
    events: list[str] = []
    ended = run(launcher, tmp_path, program, on_event=events.append)
    assert [(end.exit_code, end.num_restarts) for end in ended] == [(0, 1), (2, 0)]
    assert lines(tmp_path, 1) == ["here", "here"]
    assert "worker-1 was killed by SIGKILL; started again (1 of 1)" in events


def test_ctrl_c_interrupts_the_workers(launcher: RayLauncher, tmp_path: Path) -> None:
    def interrupt_once_they_run() -> None:
        if lines(tmp_path, 1) and lines(tmp_path, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(launcher, tmp_path, STOPS, on_tick=interrupt_once_they_run)
    assert [lines(tmp_path, number)[1:] for number in (1, 2)] == [["stopped"]] * 2


def test_a_worker_dies_with_its_actor_and_a_waiting_one_can_be_cancelled(
    launcher: RayLauncher, tmp_path: Path
) -> None:
    def start(number: int) -> Worker:
        name = f"worker-{number}"
        return launcher.start(
            WorkerSpec(
                command=tuple(python(STOPS)),
                environment={},
                log=tmp_path / f"{name}.log",
                name=name,
            )
        )

    workers = [start(number) for number in (1, 2, 3)]
    wait_for(lambda: sum(bool(lines(tmp_path, number)) for number in (1, 2, 3)) == 2)
    wait_for(lambda: [worker.exit_code() for worker in workers] == [None] * 3)
    (waiting,) = (w for n, w in enumerate(workers, start=1) if not lines(tmp_path, n))
    waiting.interrupt()
    assert waiting.exit_code() == EXIT_NEVER_STARTED
    for worker in workers:
        worker.kill()
    assert {worker.exit_code() for worker in workers if worker is not waiting} == {EXIT_LOST}
    pids = [int(found[0]) for n in (1, 2, 3) if (found := lines(tmp_path, n))]
    wait_for(lambda: not any(map(is_running, pids)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpus": "2"}, "no node has 2 CPUs and 0 GPUs (the most: 1 and 0)"),
        ({"gpus": "1"}, "no node has 1 CPUs and 1 GPUs (the most: 1 and 0)"),
    ],
)
def test_resources_of_no_node_are_refused(
    cluster: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(BenchError) as caught:
        make_launcher("ray", {"address": cluster, **options})
    assert message in str(caught.value)


def test_a_sweep_on_both_nodes(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_through("ray", tmp_path, monkeypatch, "--launcher.address", cluster)
