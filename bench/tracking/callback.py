"""What a training tells its tracker, as one of Lightning's callbacks."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from bench.tracking.journal import point_numbers
from bench.tracking.tracker import Gradients, Tracker
from bench.training.collective import mean_over_ranks

LOG_STEPS = 100


class TrackCallback(pl.Callback):
    """Sends each validation, every hundredth step's loss, and gradients where they are wanted."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        # Before clipping, and at the step that is logged after it.
        step, every = trainer.global_step + 1, self.tracker.gradient_steps
        if every and step % every == 0:
            self.tracker.log_gradients(_gradients(pl_module), step=step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if is_whole and trainer.global_step % LOG_STEPS == 0:
            numbers = {
                "train/loss": mean_over_ranks(float(outputs["loss"])),
                "train/gradient_norm": module.last_gradient_norm,
            }
            self.tracker.log(numbers, step=trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        self.tracker.log(point_numbers(module.curve[-1]), step=trainer.global_step)


def _gradients(module: pl.LightningModule) -> Gradients:
    """Each weight's gradient; a sparse one as it stands in memory."""
    named = {name: weight.grad for name, weight in module.named_parameters()}
    return {
        name: _dense(gradient).float().cpu().numpy()
        for name, gradient in named.items()
        if gradient is not None
    }


def _dense(gradient: Tensor) -> Tensor:
    return gradient.detach().to_dense() if gradient.is_sparse else gradient.detach()
