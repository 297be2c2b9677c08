"""What every objective shares: sums and counts, clipping, the schedule, an exact checkpoint."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.core.config import RunConfig
from bench.core.errors import BenchError
from bench.data.batching import BatchShare
from bench.data.corpora import Corpus
from bench.models.recurrence import Recurrence
from bench.training.accumulation import Accumulation, moved
from bench.training.collective import (
    as_first,
    begin_own_stream,
    num_ranks,
    of_each,
    own_rank,
    random_state,
    restore_random_state,
    summed,
)
from bench.training.contract import Contract, mean_loss
from bench.training.optimiser import (
    Schedule,
    WeightNoise,
    build_optimizer,
    clip_gradients,
    exceeds_value,
    sparse_tables,
)


class DivergedError(Exception):
    """The loss left the numbers; carries where, for the record."""

    def __init__(self, *, epoch: int, step: int, gradient_norm: float) -> None:
        super().__init__(f"diverged in epoch {epoch} at step {step}")
        self.epoch, self.step, self.gradient_norm = epoch, step, gradient_norm


class Objective(Contract):
    """A kind of task: examples -> loss and metric, around any recurrence.

    A subclass fills in the `Contract`. `training_step` returns the quantity that is
    differentiated; the sums feed the learning curve.
    """

    def __init__(self, config: RunConfig, corpus: Corpus) -> None:
        super().__init__(config, corpus)
        trainer = config.trainer
        self.schedule = Schedule(
            config.optim, max_epochs=trainer.max_epochs, stop_after=trainer.stop_after
        )
        self._noise = WeightNoise()
        self.curve: list[dict[str, Any]] = []
        self.best_weights: dict[str, Tensor] | None = None
        self.last_gradient_norm = 0.0
        self.num_clipped = 0
        self.num_clippings = 0
        """Steps whose gradient could have been clipped: all, unless an older run is resumed."""
        self.train_sums = torch.zeros(2, dtype=torch.float64)  # loss, count
        self.train_units = 0
        self._parts = Accumulation(trainer.accumulate, why_whole=self.whole_batches)

    def prepare(self) -> None:
        """What a training asks of the network's parts, before any optimiser is made."""
        sparse_tables(self.config.optim, self)
        for part in self.modules():
            if isinstance(part, Recurrence):
                part.recompute(self.config.trainer.recompute_steps)

    # Lightning ----------------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return build_optimizer(self.config.optim, self, trainer=self.config.trainer)

    def on_train_epoch_end(self) -> None:
        # Here, not at the epoch's start: a run resumed from an epoch's end never sees that hook.
        self.begin_sequence()
        self._parts.forget()
        self.train_sums, self.train_units = torch.zeros_like(self.train_sums), 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        first_part = batch_idx - batch_idx % self._parts.num_parts
        place = self.trainer.current_epoch + first_part / int(self.trainer.num_training_batches)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.schedule.lr(place)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.carried = self._parts.begin(batch_idx, self.carried)
        if self._parts.is_first:
            self._noise.add(self.parameters(), self.weight_noise)
        loss_sum, count = self.batch_loss(batch)
        units = count.new_tensor(self.units_in(batch))
        values = (loss_sum.detach(), count, units)
        sums = summed(torch.stack([value.double() for value in values]))
        of_all = sums.to(self.train_sums.device)
        self.train_sums += of_all[:2]
        self.train_units += int(of_all[2])
        self._check_finite(*of_all[:2])
        if num_ranks() > 1:
            count = sums[1].to(count)
        loss = self.update_loss(loss_sum, self._parts.divisor(count, batch), batch)
        # Gradients are averaged over processes and over parts where they are to be summed.
        together = num_ranks() * self._parts.num_parts
        return loss if together == 1 else loss * together

    def on_after_backward(self) -> None:
        if self._parts.is_last:
            self._noise.remove()

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
        self._parts.correct(self.update_loss, parameters)
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

    def validation_loader(self, *, rank: int = 0, world_size: int = 1) -> Any:
        """This process's share of the validation split, or all of it, as `validation` says."""
        batches = self.evaluation_loader("valid")
        if world_size == 1 or self.validation == "whole":
            return batches
        return BatchShare(batches, rank=rank, world_size=world_size)

    def _join_shares(self) -> None:
        """Give each process what all have found in their shares of an evaluation."""
        if num_ranks() > 1 and self.validation == "divided":
            self.evaluation_sums = summed(self.evaluation_sums)
            for found in self.findings:
                for part in of_each(found):
                    found.update(part)

    def on_validation_epoch_end(self) -> None:
        self.carried = self._outer_state
        self._join_shares()
        self.end_evaluation()
        sums = as_first(self.evaluation_sums.tolist())
        self.evaluation_sums = self.evaluation_sums.new_tensor(sums)
        self._check_finite(*self.evaluation_sums)
        lr = self.schedule.lr(self.current_epoch)
        improved = self.schedule.report(as_first(self.validation_choice()))
        if improved:
            self.best_weights = {k: v.detach().clone() for k, v in self.state_dict().items()}
        elif self.schedule.returns_to_best and self.best_weights is not None:
            self.load_state_dict(self.best_weights)
        point = {"epoch": self.current_epoch + 1, "step": self.global_step, "lr": lr}
        values = self.curve_values(mean_loss(self.train_sums), mean_loss(self.evaluation_sums))
        self.curve.append({**point, **as_first(values)})
        self.trainer.should_stop = self.trainer.should_stop or self.schedule.finished

    def on_test_epoch_start(self) -> None:
        self.on_validation_epoch_start()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        self.end_evaluation()

    # Checkpoints --------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = {
            "carried": moved(self.carried, torch.device("cpu")),
            "waiting": [moved(state, torch.device("cpu")) for state in self._parts.waiting],
            "random": random_state(),
        }
        checkpoint["bench"] = {
            "schedule": self.schedule.state_dict(),
            "curve": self.curve,
            "best_weights": self.best_weights,
            "train_sums": self.train_sums,
            "train_units": self.train_units,
            **own,
            "last_gradient_norm": self.last_gradient_norm,
            "clipping": [self.num_clipped, self.num_clippings],
        }
        if num_ranks() > 1:
            checkpoint["bench"]["ranks"] = of_each(own)

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        saved = checkpoint["bench"]
        self.schedule.load_state_dict(saved["schedule"])
        self.curve = saved["curve"]
        self.best_weights = saved["best_weights"]
        self.train_sums = saved["train_sums"]
        self.train_units = saved.get("train_units", int(self.train_sums[1]))
        self.last_gradient_norm = saved["last_gradient_norm"]
        self.num_clipped, self.num_clippings = saved.get("clipping", (0, 0))
        ranks = saved.get("ranks", [saved])
        if len(ranks) != num_ranks():
            raise BenchError(
                f"the checkpoint is one of {len(ranks)} processes, these are {num_ranks()}: go on "
                "with as many, or start the run again with `--again`"
            )
        own = ranks[own_rank()]
        self.carried = own["carried"]
        self._parts.waiting = deque(own.get("waiting", ()))
        self._random = own["random"]

    def on_train_start(self) -> None:
        # Lightning draws numbers while it sets up; the streams go on from where they were saved.
        if (state := getattr(self, "_random", None)) is None:
            begin_own_stream(self.config.seed)
        else:
            restore_random_state(state)
        self.carried = moved(self.carried, self.device)
        self._parts.waiting = deque(moved(state, self.device) for state in self._parts.waiting)
        # Lightning restores a loader's place inside an epoch, but not after one: then the loader
        # would begin with the order of the first epoch again.
        set_epoch = getattr(self.trainer.train_dataloader, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(self.current_epoch)
        # Lightning forgets between two sittings that the last epoch was to be the end.
        self.trainer.should_stop = self.schedule.finished
