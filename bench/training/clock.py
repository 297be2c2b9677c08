"""Seconds spent, over all sittings of a run."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl


class Clock(pl.Callback):
    """Counts the seconds of training batches and of everything; its state is checkpointed."""

    def __init__(self) -> None:
        self._training_sec = 0.0
        self._total_sec = 0.0
        self._batches_since: float | None = None
        self._since: float | None = None
        self.seconds_by_point: list[float] = []
        """Total seconds at each point of the learning curve."""

    @property
    def training_sec(self) -> float:
        """Seconds inside training epochs, validation left out."""
        return self._training_sec + _since(self._batches_since)

    @property
    def total_sec(self) -> float:
        """Seconds from the start of fitting, validation and checkpoints included."""
        return self._total_sec + _since(self._since)

    def on_train_start(self, *_: Any) -> None:
        self._since = self._batches_since = time.perf_counter()

    def on_validation_start(self, *_: Any) -> None:
        self._training_sec, self._batches_since = self.training_sec, None

    def on_validation_end(self, *_: Any) -> None:
        if self._since is not None:
            self._batches_since = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        # Once for each point, also where a run was killed between validation and checkpoint.
        self.seconds_by_point.append(round(self.total_sec, 1))

    def on_train_end(self, *_: Any) -> None:
        self._stop()

    def on_exception(self, *_: Any) -> None:
        self._stop()

    def _stop(self) -> None:
        self._training_sec, self._total_sec = self.training_sec, self.total_sec
        self._batches_since = self._since = None

    def state_dict(self) -> dict[str, Any]:
        return {
            "training_sec": self.training_sec,
            "total_sec": self.total_sec,
            "seconds_by_point": self.seconds_by_point,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._training_sec = state_dict["training_sec"]
        self._total_sec = state_dict["total_sec"]
        self.seconds_by_point = list(state_dict.get("seconds_by_point", ()))


def _since(moment: float | None) -> float:
    return 0.0 if moment is None else time.perf_counter() - moment
