"""Measure recurrent architectures on sequence tasks beside the papers' tables.

The library: `run`, `resolve`, `Suite`, `Record`, `read_records`, `load_model`, `MODELS`. Importing
`bench` is light; torch is imported when something that needs it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from bench.core.record import Record
    from bench.core.suite import Suite
    from bench.models.recurrence import Recurrence
    from bench.runs.resolve import resolve
    from bench.runs.run import run
    from bench.training.objective import Objective

    MODELS: dict[str, type[Recurrence]]
    """Name of an architecture -> its class, a torch module."""

__version__ = "0.1.0"
__all__ = ["MODELS", "Record", "Suite", "load_model", "read_records", "resolve", "run"]

_PLACES = {
    "Record": "bench.core.record",
    "Suite": "bench.core.suite",
    "resolve": "bench.runs.resolve",
    "run": "bench.runs.run",
}


def __getattr__(name: str) -> Any:
    if name == "MODELS":
        models = importlib.import_module("bench.models")
        return {each: models.model_class(each) for each in models.MODELS}
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")


def read_records(folder: Suite | Path | str, task: str | None = None) -> list[Record]:
    """Records of one task, or of all, in a suite's folder and among the shipped ones.

    Raises BenchError for a record that is damaged.
    """
    from pathlib import Path

    from bench.core.suite import Suite

    suite = folder if isinstance(folder, Suite) else Suite.at(Path(folder))
    tasks = [task] if task is not None else list(suite.card_paths())
    return [record for name in tasks for record in suite.records(name)]


def load_model(suite: Suite, run_id: str) -> Objective:
    """The trained LightningModule of a finished run, in evaluation mode.

    Raises BenchError for an unknown run, weights that are gone, and data that is not what the run
    was trained on.
    """
    finished = importlib.import_module("bench.runs.finished")
    found = finished.find_run(suite, run_id)
    corpus = importlib.import_module("bench.runs.run").corpus_of(found.resolved)
    objective: Objective = finished.load_objective(found, corpus)
    return objective
