"""Interfaces of trackers and their backends, and the facts of a run that they are given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from bench.core.cards import Card
from bench.core.record import Provenance, Record
from bench.tracking.journal import Row
from bench.tracking.options import DEFAULTS, TrackOptions

Metrics = Mapping[str, float]
Gradients = Mapping[str, npt.NDArray[np.floating[Any]]]


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run as trackers see it at its start."""

    card: Card
    run_id: str
    config: dict[str, Any]
    recipe: str
    folder: Path
    """Folder of its artifacts."""
    job_type: str
    group: str | None = None
    """Sweep or reproduction that it belongs to."""
    tags: tuple[str, ...] = ()
    provenance: Provenance | None = None
    options: TrackOptions = DEFAULTS

    @property
    def name(self) -> str:
        """Name that is unique among the runs of all tasks."""
        return f"{self.card.task}-{self.run_id}"

    @property
    def suite_folder(self) -> Path:
        """`<suite>` of `<suite>/artifacts/<task>/<run>`."""
        return self.folder.parents[2]

    @property
    def logged_config(self) -> dict[str, Any]:
        """The configuration with recipe, card version and provenance."""
        logged = {**self.config, "recipe": self.recipe, "card_version": self.card.version}
        logged["model_name"] = self.config["model"]["name"]  # filters reach the top level only
        if self.provenance is not None:
            logged["provenance"] = msgspec.to_builtins(self.provenance)
        return logged


class Sink(Protocol):
    """Receiver of what a run logs and of its end."""

    def log(self, metrics: Metrics, *, step: int) -> None:
        """Log metrics at a training step."""

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        """Log the gradient of each weight at a training step."""

    def finish(self, record: Record) -> None:
        """End a run whose record is written."""

    def abandon(self) -> None:
        """End a session that was stopped or failed; the run may be resumed."""


class Tracker(Sink, Protocol):
    """Tracker of one run, which never raises."""

    @property
    def gradient_steps(self) -> int:
        """Interval in steps at which gradients are logged; 0: never."""
        ...


class Backend(Sink, Protocol):
    """Tracking library behind a `GuardedTracker`; may raise anything."""

    def start(self, rows: list[Row], warn: Callable[[str], None]) -> None:
        """Start the run or resume it; `rows` is what earlier sessions logged."""

    def discard(self) -> None:
        """Release everything after a failure, without waiting."""


class NoTracker:
    """Tracker that logs nothing."""

    gradient_steps = 0

    def log(self, *_: object, **__: object) -> None:
        pass

    log_gradients = finish = abandon = log


def fingerprint(record: Record) -> str:
    """Sixteen hexadecimal digits by which a mirrored run names its record."""
    return hashlib.sha256(msgspec.json.encode(record)).hexdigest()[:16]


def summary_of(record: Record) -> dict[str, Any]:
    """Final metrics, cost and status of a record, flat."""
    cost = msgspec.structs.asdict(record.cost)
    summary: dict[str, Any] = {f"final/{split}": value for split, value in record.metrics.items()}
    summary |= {f"cost/{key}": v for key, v in cost.items() if isinstance(v, int | float)}
    summary |= {f"extra/{key}": value for key, value in record.extra.items()}
    for signature, values in record.beside.items():
        summary |= {f"beside/{signature}/{split}": value for split, value in values.items()}
    if record.bound is not None:
        summary["final/bound"] = record.bound
    return {**summary, "status": record.status, "num_parameters": record.cost.num_parameters}
