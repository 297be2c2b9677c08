"""Callbacks of a training: time, energy, reports to a sweep, tracking."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

import pytorch_lightning as pl
import torch

from bench.tracking.journal import point_metrics
from bench.tracking.tracker import Gradients, Tracker
from bench.training.collective import mean_over_ranks
from bench.training.energy import Meter, start_meter
from bench.training.objective import Objective

LOG_STEPS = 100
"""Interval in steps at which the training loss is logged."""


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


# Telling a sweep how a trial stands, which may answer that it is to end.


Report: TypeAlias = Callable[[int, float], None]
"""Called with the epoch, from 1, and the validation metric; raises PrunedError to end the trial."""


class PrunedError(Exception):
    """The sweep ends this trial before its time."""


class ReportCallback(pl.Callback):
    """Reports every validation, before its checkpoint is written.

    A run killed between the two validates again and reports the same value again, so nothing is
    left unreported. After the last validation there is nothing to prune.
    """

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Objective)
        point: dict[str, Any] = pl_module.curve[-1]
        is_last = trainer.should_stop or point["epoch"] >= (trainer.max_epochs or 1)
        try:
            self.report(int(point["epoch"]), float(point["valid"]))
        except PrunedError:
            if not is_last:
                raise


class EnergyCallback(pl.Callback):
    """Joules over all sessions of a run; None once a session could not be measured.

    A run on several nodes is not measured: only this node's counters can be read from here.
    """

    def __init__(self) -> None:
        self._meter = Meter()
        self._before: float | None = 0.0
        self._source: str | None = None
        self._is_resumed = False

    @property
    def joules(self) -> float | None:
        """Joules from the start of fitting."""
        now = self._meter.joules()
        return None if now is None or self._before is None else self._before + now

    @property
    def source(self) -> str | None:
        """Energy counters that were read; None where `joules` is."""
        return None if self.joules is None else self._source

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._meter = start_meter(_gpu_uuids(trainer)) if trainer.num_nodes == 1 else Meter()
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


def _gpu_uuids(trainer: pl.Trainer) -> list[str]:
    if trainer.strategy.root_device.type != "cuda":
        return []
    devices = range(trainer.num_devices)
    return [f"GPU-{torch.cuda.get_device_properties(device).uuid}" for device in devices]


class TrackCallback(pl.Callback):
    """Logs validations, every hundredth step's loss, and gradients if the tracker wants them."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        # Before clipping, and at the step that is logged after it.
        step, interval = trainer.global_step + 1, self.tracker.gradient_steps
        if interval and step % interval == 0:
            self.tracker.log_gradients(_gradients(pl_module), step=step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if is_whole and trainer.global_step % LOG_STEPS == 0:
            metrics = {
                "train/loss": mean_over_ranks(float(outputs["loss"])),
                "train/gradient_norm": module.last_gradient_norm,
            }
            self.tracker.log(metrics, step=trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        self.tracker.log(point_metrics(module.curve[-1]), step=trainer.global_step)


def _gradients(module: pl.LightningModule) -> Gradients:
    """Gradient of each weight; sparse ones are made dense."""
    gradients = {
        name: weight.grad.detach()
        for name, weight in module.named_parameters()
        if weight.grad is not None
    }
    dense = {name: g.to_dense() if g.is_sparse else g for name, g in gradients.items()}
    return {name: g.float().cpu().numpy() for name, g in dense.items()}
