"""The record of a run of several processes says how much a step is trained on, on average."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_captioning
import tiny_frames
import tiny_speech
import tiny_translation

from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of
from bench.training.train import _extra, _processes

TINY = {
    "tiny-captioning": tiny_captioning,
    "tiny-frames": tiny_frames,
    "tiny-speech": tiny_speech,
    "tiny-translation": tiny_translation,
}


@pytest.mark.parametrize("task", TINY)
def test_units_of_a_step_are_those_of_all_processes(task: str, tmp_path: Path) -> None:
    TINY[task].make_suite(tmp_path)
    overrides: dict[str, Any] = {"trainer": {"devices": 2, "num_nodes": 2, "threads": 1}}
    if task == "tiny-frames":
        overrides["objective"] = {"batch_size": 8}
    resolved = resolve(Suite(folder=tmp_path), task, model="gru", overrides=overrides)
    objective = resolved.objective_class()(resolved.config, corpus_of(resolved))
    parts = [
        [objective.units_in(batch) for batch in objective.train_loader(rank=rank, world_size=4)]
        for rank in range(4)
    ]
    steps = [sum(step) for step in zip(*parts, strict=True)]
    assert len(set(steps)) > 1  # ragged
    assert _extra(objective) == {"units_per_step": round(sum(steps) / len(steps), 1)}
    assert _processes(resolved.config.trainer) == {"processes": 4, "nodes": 2}
