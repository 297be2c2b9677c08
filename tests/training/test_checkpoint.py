"""A checkpoint of several processes is one for as many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_frames import make_suite, resolved_in

import bench.training.objective
from bench.core.errors import BenchError
from bench.frames.objective import FramePrediction
from bench.runs.run import corpus_of


@pytest.fixture
def objective(tmp_path: Path) -> FramePrediction:
    resolved = resolved_in(make_suite(tmp_path), model="gru")
    return FramePrediction(resolved.config, corpus_of(resolved))  # type: ignore[arg-type]


def of_two(monkeypatch: pytest.MonkeyPatch, *, number: int = 0) -> None:
    """As if there were a second process, which has the same."""
    monkeypatch.setattr(bench.training.objective, "num_ranks", lambda: 2)
    monkeypatch.setattr(bench.training.objective, "own_rank", lambda: number)
    monkeypatch.setattr(bench.training.objective, "of_each", lambda own: [own, own])


def saved(objective: FramePrediction) -> dict[str, Any]:
    checkpoint: dict[str, Any] = {}
    objective.on_save_checkpoint(checkpoint)
    return checkpoint


def test_another_number_of_processes_is_refused(
    objective: FramePrediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = saved(objective)
    objective.on_load_checkpoint(alone)
    with monkeypatch.context() as patched:
        of_two(patched)
        shared = saved(objective)
        objective.on_load_checkpoint(shared)
        with pytest.raises(BenchError, match=r"one of 1 processes, these are 2: go on with as"):
            objective.on_load_checkpoint(alone)
    with pytest.raises(BenchError, match=r"one of 2 processes, these are 1: go on with as many"):
        objective.on_load_checkpoint(shared)


def test_each_process_goes_on_with_its_own(
    objective: FramePrediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_two(monkeypatch, number=1)
    checkpoint = saved(objective)
    checkpoint["bench"]["ranks"][1] = {"carried": None, "random": "the second's"}
    objective.on_load_checkpoint(checkpoint)
    assert objective._random == "the second's"
