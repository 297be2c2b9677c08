"""The interface of trackers, and what they are told of a run at its beginning.

A backend may raise what it likes; `bench.tracking.guard` stands between it and the run.
"""

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

Numbers = Mapping[str, float]
Gradients = Mapping[str, npt.NDArray[np.floating[Any]]]


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """A run as its tracker is told of it."""

    card: Card
    run_id: str
    config: dict[str, Any]
    recipe: str
    folder: Path
    """Of its artifacts."""
    job_type: str
    group: str | None = None
    """The sweep or the reproduction that it belongs to."""
    tags: tuple[str, ...] = ()
    provenance: Provenance | None = None
    options: TrackOptions = DEFAULTS

    @property
    def name(self) -> str:
        """The run's name beside those of other tasks."""
        return f"{self.card.task}-{self.run_id}"

    @property
    def all_tags(self) -> list[str]:
        """Task and model before the user's own."""
        return [self.card.task, str(self.config["model"]["name"]), *self.tags]

    @property
    def told_config(self) -> dict[str, Any]:
        """The configuration with what else decides about the run and what made it."""
        told = {**self.config, "recipe": self.recipe, "card_version": self.card.version}
        told["model_name"] = self.config["model"]["name"]  # filters reach the top level only
        if self.provenance is not None:
            told["provenance"] = msgspec.to_builtins(self.provenance)
        return told


class Tracker(Protocol):
    """Where a run's numbers are mirrored to."""

    @property
    def gradient_steps(self) -> int:
        """Gradients are wanted every so many steps; 0: never."""
        ...

    def log(self, numbers: Numbers, *, step: int) -> None:
        """Numbers at one step of training."""

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        """The gradient of each weight at one step."""

    def finish(self, record: Record) -> None:
        """The run is over; its record is written."""

    def abandon(self) -> None:
        """The run was stopped or failed; it may go on later."""


class Backend(Protocol):
    """A tracker that may fail. Rows of earlier sittings come first, then those of this one."""

    def start(self, rows: list[Row], warn: Callable[[str], None]) -> None:
        """Begin, or go on with what was begun; `rows` is what earlier sittings logged."""

    def log(self, numbers: Numbers, *, step: int) -> None:
        """See `Tracker`."""

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        """See `Tracker`."""

    def finish(self, record: Record) -> None:
        """See `Tracker`."""

    def abandon(self) -> None:
        """See `Tracker`."""

    def discard(self) -> None:
        """Something failed: let go of everything without waiting."""


class NoTracker:
    """Mirrors nothing."""

    gradient_steps = 0

    def log(self, numbers: Numbers, *, step: int) -> None:
        pass

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        pass

    def finish(self, record: Record) -> None:
        pass

    def abandon(self) -> None:
        pass


def fingerprint(record: Record) -> str:
    """What a mirrored run carries to say which record it is of: sixteen hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(record)).hexdigest()[:16]


def final_numbers(record: Record) -> dict[str, Any]:
    """What a record says of the end: metrics, cost, state."""
    cost = msgspec.structs.asdict(record.cost)
    told: dict[str, Any] = {f"final/{split}": value for split, value in record.metrics.items()}
    told |= {f"cost/{key}": v for key, v in cost.items() if isinstance(v, int | float)}
    told |= {f"extra/{key}": value for key, value in record.extra.items()}
    for signature, values in record.beside.items():
        told |= {f"beside/{signature}/{split}": value for split, value in values.items()}
    if record.bound is not None:
        told["final/bound"] = record.bound
    return {**told, "status": record.status, "num_parameters": record.cost.num_parameters}
