"""`bench run`, torchrun and srun start the processes of a run by the same command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from by_srun import free_port
from command_line import Said, surroundings
from processes import is_running, wait_for
from tiny_task import RUN, make_suite, settings

from bench.core.errors import BenchError
from bench.core.record import Record, read_record
from bench.core.suite import Suite
from bench.launch.ranks import EXIT_PEER_LOST
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import run, run_trial

TWO = (*RUN, "--trainer.devices", "2")
LONG = ("--trainer.max-epochs", "40")
BENCH = (sys.executable, "-m", "bench", *TWO, *LONG)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=make_suite(tmp_path / "suite"))


@pytest.fixture
def start(suite: Suite) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command in the suite's folder; what still runs at the end is killed."""
    started = []

    def begin(*command: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            cwd=suite.folder,
            env=surroundings(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def said_by(process: subprocess.Popen[str]) -> Said:
    out, err = process.communicate(timeout=120)
    return Said(status=process.returncode, out=out, err=err)


def last_words(said: Said) -> list[str]:
    """What was said besides each epoch's numbers."""
    lines = said.err.splitlines()
    return [line for line in lines if line and not line.startswith(("epoch", "resumed after"))]


def children_of(parent: int) -> dict[str, int]:
    """RANK -> process."""
    found = {}
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        told = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        found.update({entry[5:].decode(): int(child) for entry in told if entry[:5] == b"RANK="})
    return found


def has_checkpoint(suite: Suite, process: subprocess.Popen[str]) -> bool:
    assert process.poll() is None, process.communicate()
    return any(suite.folder.glob("artifacts/tiny/*/last.ckpt"))


def only_record(suite: Suite) -> Record:
    (path,) = suite.folder.glob("results/tiny/runs/*.json")
    return read_record(path)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.slow
def test_a_run_that_lost_a_process_goes_on(
    suite: Suite, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(*BENCH)
    wait_for(lambda: has_checkpoint(suite, process), limit_sec=120)
    ranks = children_of(process.pid)
    os.kill(ranks["1"], signal.SIGKILL)
    said = said_by(process)
    assert said.status == EXIT_PEER_LOST
    assert last_words(said) == [
        "bench: process 2 of 2 was killed by SIGKILL; the same command goes on from the last "
        "checkpoint"
    ]
    assert not any(map(is_running, ranks.values()))
    assert not list(suite.folder.glob("results/tiny/runs/*"))

    said = said_by(start(*BENCH))
    assert (said.status, last_words(said)) == (0, [])
    assert "resumed after" in said.err
    record = only_record(suite)
    assert said.out.count(f"{record.id}.json") == 1
    check_shared(record, num_epochs=40)


def check_shared(record: Record, *, num_epochs: int = 2) -> None:
    assert record.status == "finished"
    assert record.curve[-1].epoch == num_epochs
    hardware = record.provenance.hardware
    assert (hardware["processes"], hardware["nodes"]) == (2, 1)
    assert record.extra["units_per_step"] == 200  # 10 streams of 20 tokens
    assert record.config["objective"]["batch_size"] == 10


@pytest.mark.slow
def test_torchrun_starts_the_same_run(
    suite: Suite, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    said = said_by(start(*TORCHRUN, "-m", "bench", *TWO))
    assert said.status == 0, said
    assert last_words(said) == []
    record = only_record(suite)
    check_shared(record)
    alone = run(
        resolve(suite, "tiny", model="srn", overrides=settings()),
        Suite(folder=make_suite(tmp_path / "alone")),
    )
    assert record.id != alone.id
    assert record.metrics["test"] == pytest.approx(alone.metrics["test"], rel=1e-3)
    assert "processes" not in alone.provenance.hardware
    assert set(alone.extra) == {"clipped_share"}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.slow
def test_torchrun_starts_a_run_again_from_its_checkpoint(
    suite: Suite, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Also with `--again`, which throws away what an earlier call has left."""
    left = suite.folder / "artifacts" / "tiny" / two_devices(suite).run_id / "left-before"
    left.parent.mkdir(parents=True)
    left.touch()
    process = start(*TORCHRUN, "--max-restarts", "1", "-m", "bench", *TWO, *LONG, "--again")
    wait_for(lambda: has_checkpoint(suite, process), limit_sec=120)
    assert not left.exists()
    os.kill(children_of(process.pid)["1"], signal.SIGKILL)
    said = said_by(process)
    assert said.status == 0, said
    assert "resumed after" in said.err
    check_shared(only_record(suite), num_epochs=40)


def two_devices(suite: Suite) -> Resolved:
    trainer = {"devices": 2, "max_epochs": 40}
    return resolve(suite, "tiny", model="srn", overrides=settings(trainer=trainer))


@pytest.mark.slow
def test_two_agents_start_one_run(
    suite: Suite, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """As on two nodes, which here are one."""
    nodes = ("--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d")
    where = ("--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--local-addr", "127.0.0.1")
    command = (*TORCHRUN[:3], *nodes, *where, "-m", "bench", *RUN, "--trainer.num-nodes", "2")
    agents = [start(*command) for _ in range(2)]
    said = [said_by(agent) for agent in agents]
    assert [each.status for each in said] == [0, 0], said
    record = only_record(suite)
    assert sorted(each.out.count(f"{record.id}.json") for each in said) == [0, 1]
    hardware = record.provenance.hardware
    assert (hardware["processes"], hardware["nodes"]) == (2, 2)
    assert record.extra["units_per_step"] == 200


def test_srun_starts_the_same_run(suite: Suite) -> None:
    program = Path(__file__).with_name("by_srun.py")
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(program), *TWO[1:]],
        cwd=suite.folder,
        env=surroundings(PYTHONPATH=os.pathsep.join([str(tests.parent), str(tests)])),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check_shared(only_record(suite))


def test_trials_and_callers_that_start_nothing_are_refused(suite: Suite) -> None:
    resolved = resolve(suite, "tiny", model="srn", overrides=settings(trainer={"devices": 2}))
    with pytest.raises(BenchError, match="torchrun or srun starts several processes: leave out"):
        run(resolved, suite)
    with pytest.raises(BenchError, match="a trial trains on one device"):
        run_trial(resolved, suite, report=lambda *_: None)


def test_another_number_of_devices_is_another_run(suite: Suite) -> None:
    """So none ever goes on from the checkpoint of another number."""
    folders = {
        suite.artifacts("tiny", resolved.run_id)
        for trainer in ({}, {"devices": 2}, {"devices": 3}, {"num_nodes": 2})
        for resolved in [resolve(suite, "tiny", model="srn", overrides=settings(trainer=trainer))]
    }
    assert len(folders) == 4
