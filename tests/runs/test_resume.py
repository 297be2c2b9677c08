"""A run killed at any moment and started again ends with the same bytes as one left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from objective_cases import OBJECTIVE_CASES

from bench.domains import all_domains

ENDS = ("weights", "metrics", "curve")


def carried_out(folder: Path, **jobs: dict[str, Any]) -> dict[str, Any]:
    """What runs end with, by the names of jobs; see killed.py."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed.py"), folder, json.dumps(jobs)],
        capture_output=True,
        text=True,
        timeout=900,
        env={
            **os.environ,
            "BENCH_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def each(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run of each objective, left alone and killed often."""
    jobs = {name: {"case": name, "kills": 3} for name in OBJECTIVE_CASES}
    return carried_out(tmp_path_factory.mktemp("killed"), **jobs)


def test_there_is_a_case_of_each_objective() -> None:
    assert set(OBJECTIVE_CASES) == {name for each in all_domains() for name in each.objectives}


@pytest.mark.parametrize("objective", OBJECTIVE_CASES)
def test_same_bytes_however_often_a_run_was_killed(each: dict[str, Any], objective: str) -> None:
    check_often(each[objective])


def check_often(results: dict[str, Any]) -> None:
    calm, last = results["calm"], results["last"]
    assert len(calm["curve"]) == 3
    assert {key: last[key] for key in ENDS} == {key: calm[key] for key in ENDS}
    assert len(results["often"]) >= 3
    assert all(results["often"])
    assert len(last["moments"]) < len(calm["moments"]), "it began anew"


DENSELY: dict[str, dict[str, Any]] = {
    "text": {"case": "language-model", "every": 3},
    "text, lstm": {"case": "language-model", "model": "lstm", "every": 11},
    "noise on the weights": {"case": "ctc", "every": 13},
    "parts in half precision": {
        "case": "language-model",
        "model": "lstm",
        "every": 17,
        "settings": {
            "trainer": {"accumulate": 2, "precision": "16-mixed", "recompute_steps": 2},
        },
    },
    "parts with noise on the weights": {
        "case": "ctc",
        "model": "gru",
        "every": 37,
        "settings": {"trainer": {"accumulate": 2}},
    },
    "scheduled sampling": {"case": "translation", "every": 17},
    "dropout between layers": {"case": "frame-prediction", "every": 13},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DENSELY)
def test_same_bytes_wherever_the_run_was_killed(tmp_path: Path, name: str) -> None:
    results = carried_out(tmp_path, **{name: DENSELY[name]})[name]
    check_often(results)
    kinds = set(results["calm"]["moments"])
    assert {"training", "validation", "half a checkpoint", "before naming"} <= kinds
    assert "after replacing" in kinds
    wanted = {key: results["calm"][key] for key in ENDS}
    for moment, (was_killed, resumed) in results["killed"].items():
        where = f"killed at moment {moment}, {results['calm']['moments'][int(moment)]}"
        assert was_killed, where
        assert {key: resumed[key] for key in wanted} == wanted, where
