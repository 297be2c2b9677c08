"""Sweeps of a second or two: a suite with one sweep file, and what its storage says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from tiny_task import make_suite

from bench.core.suite import Suite
from bench.runs.run import RunOptions
from bench.sweep.specification import load_sweep
from bench.sweep.status import SweepState, read_state
from bench.sweep.storage import default_url, open_storage
from bench.sweep.study import Studies, open_studies
from bench.sweep.trial import TrialResult
from bench.sweep.worker import Worker

SWEEP: dict[str, Any] = {
    "task": "tiny",
    "models": ["srn"],
    "fixed": {"trainer.max_epochs": 2, "model.hidden_size": 3},
    "space": {
        "optim.lr": {"type": "float", "low": 1e-3, "high": 0.1, "log": True},
        "model.nonlinearity": {"type": "categorical", "choices": ["tanh", "sigmoid"]},
    },
    "budget": {"trials": 4},
    "sampler": {"name": "tpe", "seed": 3, "startup": 2},
}


def write_sweep(folder: Path, **changes: Any) -> Suite:
    """A suite with the sweep `sweeps/small.yaml`: the usual one with some keys changed."""
    make_suite(folder)
    (folder / "sweeps").mkdir(exist_ok=True)
    (folder / "sweeps" / "small.yaml").write_text(yaml.safe_dump({**SWEEP, **changes}))
    return Suite(folder=folder)


def begin(suite: Suite, *, url: str | None = None, heartbeat_sec: float = 1.0) -> Studies:
    """The studies of the suite's sweep."""
    sweep = load_sweep(suite, "small")
    storage = open_storage(url or default_url(suite, "small"), heartbeat_sec=heartbeat_sec)
    return open_studies(sweep, suite, storage)


def carry_out(suite: Suite, *, url: str | None = None) -> SweepState:
    """Run the sweep to its end with one worker in this process."""
    studies = begin(suite, url=url)
    Worker(studies, suite, run_options=RunOptions(), log=lambda _: None).run()
    return read_state(studies)


def essence(result: TrialResult) -> tuple[Any, ...]:
    """Fields that do not depend on the worker, the time and the number of sessions."""
    return (
        result.number,
        result.chosen,
        result.status,
        result.value,
        result.intermediate,
        result.num_parameters,
        result.flops,
        result.run_ids,
    )
