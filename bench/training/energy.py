"""Joules spent, over all sittings of a run."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from bench.core.energy import Meter, start_meter


class EnergyCallback(pl.Callback):
    """Counts joules as `Clock` counts seconds; a sitting that could not be counted loses them all.

    Only the machines of a run on one node can all be read from here.
    """

    def __init__(self) -> None:
        self._meter = Meter([])
        self._before: float | None = 0.0
        self._source: str | None = None
        self._is_resumed = False

    @property
    def joules(self) -> float | None:
        """Joules from the start of fitting; None where a sitting could not be counted."""
        now = self._meter.joules()
        return None if now is None or self._before is None else self._before + now

    @property
    def source(self) -> str | None:
        """Which counters were read; None where `joules` is."""
        return None if self.joules is None else self._source

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._meter = start_meter(_gpus(trainer)) if trainer.num_nodes == 1 else Meter([])
        if trainer.global_step and not (self._is_resumed and self._source == self._meter.source):
            self._before = None
        self._source = self._meter.source

    def on_train_end(self, *_: Any) -> None:
        self._meter.stop()

    def on_exception(self, *_: Any) -> None:
        self._meter.stop()

    def state_dict(self) -> dict[str, Any]:
        return {"joules": self.joules, "source": self.source}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before, self._source = state_dict["joules"], state_dict["source"]
        self._is_resumed = True


def _gpus(trainer: pl.Trainer) -> list[str]:
    """UUIDs of the GPUs that this run has."""
    if trainer.strategy.root_device.type != "cuda":
        return []
    places = range(trainer.num_devices)
    return [f"GPU-{torch.cuda.get_device_properties(place).uuid}" for place in places]
