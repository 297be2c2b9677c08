"""A run of two processes of which one is killed ends with the same bytes as one left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.launch.ranks import EXIT_PEER_LOST

TESTS = Path(__file__).parents[1]
LSTM = {"case": "language-model", "model": "lstm"}


def killed_and_resumed(folder: Path, job: dict[str, Any], *kinds: str) -> dict[str, Any]:
    program = Path(__file__).with_name("killed_ranks.py")
    done = subprocess.run(
        [sys.executable, program, folder, json.dumps(job), *kinds],
        capture_output=True,
        text=True,
        timeout=900,
        env={
            **os.environ,
            "BENCH_CACHE": str(folder / "cache"),
            "PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "runs"))),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results


def check_same_bytes(results: dict[str, Any]) -> None:
    calm = results["calm"]
    assert calm["codes"] == [0, 0]
    wanted = {key: calm["report"][key] for key in ("weights", "metrics", "curve")}
    assert len(wanted["curve"]) == 3
    for where, (victim, stopped, resumed) in results["killed"].items():
        assert stopped["codes"][victim] == -signal.SIGKILL, where
        assert stopped["codes"][1 - victim] == EXIT_PEER_LOST, where
        assert "another process of this run has ended or no longer" in stopped["said"], where
        assert stopped["report"] is None, where
        assert resumed["codes"] == [0, 0], where
        assert {key: resumed["report"][key] for key in wanted} == wanted, where
        assert len(resumed["report"]["moments"]) < len(calm["report"]["moments"]), where


def test_same_bytes_after_either_process_was_killed(tmp_path: Path) -> None:
    results = killed_and_resumed(tmp_path, LSTM, "training")
    assert len(results["killed"]) == 2
    check_same_bytes(results)


@pytest.mark.slow
def test_same_bytes_wherever_a_process_was_killed_or_frozen(tmp_path: Path) -> None:
    results = killed_and_resumed(tmp_path, LSTM)
    assert len(results["killed"]) == 7
    check_same_bytes(results)


@pytest.mark.slow
def test_same_bytes_with_noise_on_the_weights_and_a_divided_validation(tmp_path: Path) -> None:
    job = {"case": "ctc", "model": "lstm"}
    results = killed_and_resumed(tmp_path, job, "training", "validation")
    assert len(results["killed"]) == 4
    check_same_bytes(results)


@pytest.mark.slow
def test_same_bytes_with_a_divided_optimiser_and_parts(tmp_path: Path) -> None:
    trainer = {"strategy": "zero", "accumulate": 2}
    job = {"case": "language-model", "settings": {"trainer": trainer}}
    check_same_bytes(killed_and_resumed(tmp_path, job, "training", "validation"))
