"""What every objective shares: sums and counts, clipping, the schedule, an exact checkpoint."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor

from bench.config import RunConfig
from bench.data.text import TextCorpus
from bench.objectives.optimiser import build_optimizer, clip_gradients, exceeds_value
from bench.objectives.random_streams import random_state, restore_random_state
from bench.objectives.schedule import Schedule
from bench.structs import Frozen


class DivergedError(Exception):
    """The loss left the numbers; carries where, for the record."""

    def __init__(self, *, epoch: int, step: int, gradient_norm: float) -> None:
        super().__init__(f"diverged in epoch {epoch} at step {step}")
        self.epoch, self.step, self.gradient_norm = epoch, step, gradient_norm


class Objective(pl.LightningModule):
    """A kind of task: examples -> loss and metric, around any recurrence.

    A subclass sets `Options`, gives the loaders and implements `batch_loss`. Losses are sums with
    their counts, so unequal batches aggregate exactly. `training_step` returns the quantity that
    is differentiated; the sums feed the learning curve.
    """

    Options: ClassVar[type[Frozen]]

    def __init__(self, config: RunConfig, corpus: TextCorpus) -> None:
        super().__init__()
        self.corpus = corpus
        self.loss_limit = float("inf")
        """Mean loss of a batch above which the run has diverged."""
        self.config = config
        trainer = config.trainer
        self.schedule = Schedule(
            config.optim, max_epochs=trainer.max_epochs, stop_after=trainer.stop_after
        )
        self.curve: list[dict[str, float]] = []
        self.best_weights: dict[str, Tensor] | None = None
        self.last_gradient_norm = 0.0
        self.num_clipped = 0
        self.num_clippings = 0
        """Steps whose gradient could have been clipped: all, unless an older run is resumed."""
        self.train_sums = torch.zeros(2, dtype=torch.float64)  # loss, count
        self.evaluation_sums = torch.zeros(2, dtype=torch.float64)
        self.carried: tuple[Tensor, ...] | None = None

    # What a subclass provides -------------------------------------------------------------------

    @abstractmethod
    def batch_loss(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Sum of the loss over the batch's units (tokens, frames) and how many there were."""

    @abstractmethod
    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> Any:
        """Training batches: has `__len__`, `state_dict`, `load_state_dict`."""

    @abstractmethod
    def evaluation_loader(self, split: str) -> Any:
        """All of a split, each unit once, in a fixed order."""

    @abstractmethod
    def metric_value(self, loss_per_unit: float) -> float:
        """The task's metric for a mean loss in nats."""

    @property
    @abstractmethod
    def signature(self) -> str:
        """What exactly the metric's value is."""

    @abstractmethod
    def flops_per_unit(self) -> int:
        """Forward floating-point operations a unit, matrix products only."""

    @property
    @abstractmethod
    def num_train_units(self) -> int:
        """Units (tokens, frames) in the training split."""

    @property
    def products_in_effect(self) -> str:
        """Precision of the matrix products that this machine really used."""
        return "float32"

    def keep_evaluation(self, folder: Path, split: str) -> None:
        """Write what the evaluation of `split` found besides the metric; nothing by default."""

    def begin_sequence(self) -> None:
        """Forget the carried state: a new text begins."""
        self.carried = None

    def update_loss(self, loss_sum: Tensor, count: Tensor) -> Tensor:
        """The quantity that is differentiated; the mean over units unless overridden."""
        return loss_sum / count

    # Lightning ----------------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return build_optimizer(self.config.optim, self)

    def on_train_epoch_end(self) -> None:
        # Here, not at the epoch's start: a run resumed from an epoch's end never sees that hook.
        self.begin_sequence()
        self.train_sums = torch.zeros_like(self.train_sums)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        place = self.trainer.current_epoch + batch_idx / int(self.trainer.num_training_batches)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.schedule.lr(place)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss_sum, count = self.batch_loss(batch)
        self.train_sums += torch.stack([loss_sum.detach().double(), count.double()])
        self._check_finite(loss_sum, count)
        return self.update_loss(loss_sum, count)

    def _check_finite(self, loss_sum: Tensor, count: Tensor) -> None:
        loss = float(loss_sum.detach())
        if not (math.isfinite(loss) and loss <= self.loss_limit * float(count)):
            raise DivergedError(
                epoch=self.current_epoch,
                step=self.global_step,
                gradient_norm=self.last_gradient_norm,
            )

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        parameters = list(self.parameters())
        if self.config.optim.clip == "value":
            self.num_clipped += int(exceeds_value(self.config.optim.clip_at, parameters))
        self.last_gradient_norm = float(clip_gradients(self.config.optim, parameters))
        if self.config.optim.clip == "norm":
            self.num_clipped += int(self.last_gradient_norm > self.config.optim.clip_at)
        self.num_clippings += 1

    @property
    def clipped_share(self) -> float | None:
        """Share of the training steps whose gradient was clipped; None before the first step."""
        return self.num_clipped / self.num_clippings if self.num_clippings else None

    def on_validation_epoch_start(self) -> None:
        self._outer_state, self.carried = self.carried, None
        self.evaluation_sums = torch.zeros(2, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        loss_sum, count = self.batch_loss(batch)
        self.evaluation_sums += torch.stack([loss_sum.double(), count.double()])

    def on_validation_epoch_end(self) -> None:
        self.carried = self._outer_state
        self._check_finite(*self.evaluation_sums)
        valid, train = _mean(self.evaluation_sums), _mean(self.train_sums)
        lr = self.schedule.lr(self.current_epoch)
        improved = self.schedule.report(valid)
        if improved:
            self.best_weights = {k: v.detach().clone() for k, v in self.state_dict().items()}
        elif self.schedule.returns_to_best and self.best_weights is not None:
            self.load_state_dict(self.best_weights)
        point = {"epoch": self.current_epoch + 1, "step": self.global_step, "lr": lr}
        self.curve.append(
            {**point, "train": self.metric_value(train), "valid": self.metric_value(valid)}
        )
        self.trainer.should_stop = self.trainer.should_stop or self.schedule.finished

    def on_test_epoch_start(self) -> None:
        self.on_validation_epoch_start()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)

    # Checkpoints --------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["bench"] = {
            "schedule": self.schedule.state_dict(),
            "curve": self.curve,
            "best_weights": self.best_weights,
            "train_sums": self.train_sums,
            "carried": None if self.carried is None else list(self.carried),
            "random": random_state(),
            "last_gradient_norm": self.last_gradient_norm,
            "clipping": [self.num_clipped, self.num_clippings],
        }

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        saved = checkpoint["bench"]
        self.schedule.load_state_dict(saved["schedule"])
        self.curve = saved["curve"]
        self.best_weights = saved["best_weights"]
        self.train_sums = saved["train_sums"]
        self.carried = None if saved["carried"] is None else tuple(saved["carried"])
        self.last_gradient_norm = saved["last_gradient_norm"]
        self.num_clipped, self.num_clippings = saved.get("clipping", (0, 0))
        self._random = saved["random"]

    def on_train_start(self) -> None:
        # Lightning draws numbers while it sets up; the streams go on from where they were saved.
        if (state := getattr(self, "_random", None)) is not None:
            restore_random_state(state)
        # Lightning forgets between two sittings that the last epoch was to be the end.
        self.trainer.should_stop = self.schedule.finished


def _mean(sums: Tensor) -> float:
    loss, count = (float(value) for value in sums)
    return loss / max(count, 1.0)
