"""Sweep of four short trials, run through the command line in this process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tiny_task import make_suite

from bench.cli import main

SWEEP = """\
task: tiny
models: [srn]
fixed: {trainer.max_epochs: 1, model.hidden_size: 3}
space:
  optim.lr: {type: float, low: 1.0e-3, high: 0.1, log: true}
budget: {trials: 4}
sampler: {name: random, seed: 1}
"""


def sweep_through(
    launcher: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> None:
    """Run the sweep with two workers of a launcher and check that each trial was run once."""
    make_suite(folder)
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "small.yaml").write_text(SWEEP)
    words = ["sweep", "small", "--workers", "2", "--launcher", launcher, *options]
    words += ["--track", "none", "--quiet", "--suite", str(folder)]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    logs = sorted((folder / "artifacts" / "sweeps" / "small").glob("worker-*.log"))
    assert len(logs) == 2
    records = list(folder.glob("results/tiny/trials/*.json"))
    assert len(records) == 4
    assert {tuple(json.loads(path.read_text())["metrics"]) for path in records} == {("valid",)}
    assert (folder / "results" / "tiny" / "sweeps" / "small.json").is_file()
