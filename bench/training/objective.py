"""The base of all objectives: one LightningModule for each kind of training, any recurrence inside.

A subclass gives batches, a loss as a sum with its count, and a metric; sums and counts, clipping,
the schedule and an exact checkpoint are shared.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import msgspec
import pytorch_lightning as pl
import torch
from torch import Tensor

from bench.core.config import RunConfig
from bench.core.errors import BenchError
from bench.core.structs import Frozen
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
from bench.training.metrics import Score, SplitMetric, mean_of
from bench.training.optimiser import (
    Schedule,
    WeightNoise,
    build_optimizer,
    clip_gradients,
    exceeds_value,
    sparse_tables,
)

OptionsT = TypeVar("OptionsT", bound=Frozen)


class DivergedError(Exception):
    """The loss became NaN, infinite or larger than any training's; says where."""

    def __init__(self, *, epoch: int, step: int, gradient_norm: float) -> None:
        super().__init__(f"diverged in epoch {epoch} at step {step}")
        self.epoch, self.step, self.gradient_norm = epoch, step, gradient_norm


class Objective(pl.LightningModule):
    """A kind of training: examples -> loss and metric, around any recurrence.

    Losses are sums with their counts, so unequal batches aggregate exactly. `training_step` returns
    the quantity that is differentiated; the sums feed the learning curve. A subclass defines what
    is abstract and `metric`; the rest has a usual answer.
    """

    Options: ClassVar[type[Frozen]]
    unit: ClassVar[Literal["token", "frame", "label"]] = "token"
    """Unit of throughput and operations."""
    validation: ClassVar[Literal["divided", "whole"]] = "divided"
    """Share of the validation split's batches that each of several processes evaluates, or
    all of them, as it must where a batch goes on from the state that the one before left."""
    whole_batches: ClassVar[str | None] = None
    """Why gradient accumulation is not exact for this loss; None where it is a sum over examples.
    Among processes every batch is divided: they have its parts at once."""
    final_search: ClassVar[Literal["same", "wider"]] = "same"
    """`wider` where the final evaluation searches further than validation and needs more memory."""
    metric: SplitMetric

    def __init__(self, config: RunConfig, corpus: Corpus) -> None:
        super().__init__()
        self.config = config
        self.corpus = corpus
        self.loss_limit = float("inf")
        """Mean loss of a batch above which the run has diverged."""
        self.weight_noise = 0.0
        """Standard deviation of the noise at which gradients are taken."""
        self.carried: tuple[Tensor, ...] | None = None
        """State at the end of the previous batch, for a text that goes on."""
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

    # What a subclass defines --------------------------------------------------------------------

    @abstractmethod
    def batch_loss(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Sum of the loss over what was predicted (tokens, labels), and how many there were."""

    @abstractmethod
    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> Any:
        """Training batches: has `__len__`, `state_dict`, `load_state_dict`, `largest`.

        Of several processes each has its part of every batch, and as many of them.
        """

    @abstractmethod
    def evaluation_loader(self, split: str) -> Any:
        """All of a split, each unit once, in a fixed order; has `largest`, and `every` where it may
        be shared. The next evaluation is of this split."""

    @abstractmethod
    def flops_per_unit(self) -> int:
        """Forward floating-point operations a unit, matrix products only."""

    @property
    @abstractmethod
    def num_train_units(self) -> int:
        """Units (tokens, frames) in the training split."""

    @abstractmethod
    def units_in(self, batch: Any) -> int:
        """Units in a batch."""

    @property
    def bound(self) -> float | None:
        """Best possible metric on the test split, where the distribution is known."""
        return None

    @property
    def products_in_effect(self) -> str:
        """Precision of the matrix products that this machine really used."""
        return "float32"

    def begin_sequence(self) -> None:
        """Forget the carried state: a new text begins."""
        self.carried = None

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: Any) -> Tensor:
        """The quantity that is differentiated; the mean over what was predicted, usually.

        Of several processes, `loss_sum` is of this one's part of the batch, `count` of all parts,
        and the results add up to what one process would have.
        """
        return loss_sum / count

    def evaluate_batch(self, batch: Any, *, final: bool) -> None:
        """Update `metric` with a batch; `final` evaluations may search further than validation."""
        del final
        self.metric.update(*self.batch_loss(batch))

    def curve_values(self, loss_train: float, score: Score) -> dict[str, float | None]:
        """A point of the learning curve: the metric, and the losses where it takes more."""
        train = self.metric.from_loss(loss_train)
        point = {"train": train, "valid": score.value}
        if train is None:
            point |= {"loss_train": loss_train, "loss_valid": score.loss}
        return point

    def keep(self, folder: Path, split: str) -> None:
        """Write what the evaluation of `split` found besides its score."""
        self.metric.keep(folder, split)

    def prepare(self) -> None:
        """Set up parts of the network for training, before any optimiser is made."""
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
        self._check_finite(*of_all[:2].tolist())
        if num_ranks() > 1:
            count = sums[1].to(count)
        loss = self.update_loss(loss_sum, self._parts.divisor(count, batch), batch)
        # Gradients are averaged over processes and over parts where they are to be summed.
        together = num_ranks() * self._parts.num_parts
        return loss if together == 1 else loss * together

    def on_after_backward(self) -> None:
        if self._parts.is_last:
            self._noise.remove()

    def _check_finite(self, loss_sum: float, count: float) -> None:
        if not (math.isfinite(loss_sum) and loss_sum <= self.loss_limit * count):
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
        self._begin_evaluation(divided=self.validation == "divided")

    def on_test_epoch_start(self) -> None:
        self._begin_evaluation(divided=False)

    def _begin_evaluation(self, *, divided: bool) -> None:
        self._outer_state, self.carried = self.carried, None
        self.metric.reset()
        self.metric.divided = divided

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate_batch(batch, final=False)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate_batch(batch, final=True)

    def validation_loader(self, *, rank: int = 0, world_size: int = 1) -> Any:
        """This process's share of the validation split, or all of it, as `validation` says."""
        batches = self.evaluation_loader("valid")
        if world_size == 1 or self.validation == "whole":
            return batches
        return BatchShare(batches, rank=rank, world_size=world_size)

    def on_validation_epoch_end(self) -> None:
        self.carried = self._outer_state
        score = as_first(self.metric.compute())
        self._check_finite(score.loss, 1.0)
        lr = self.schedule.lr(self.current_epoch)
        improved = self.schedule.report(score.choice)
        if improved:
            self.best_weights = {k: v.detach().clone() for k, v in self.state_dict().items()}
        elif self.schedule.returns_to_best and self.best_weights is not None:
            self.load_state_dict(self.best_weights)
        point = {"epoch": self.current_epoch + 1, "step": self.global_step, "lr": lr}
        values = self.curve_values(mean_of(self.train_sums), score)
        self.curve.append({**point, **as_first(values)})
        self.trainer.should_stop = self.trainer.should_stop or self.schedule.finished

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
        # Lightning forgets between two sessions that the last epoch was to be the end.
        self.trainer.should_stop = self.schedule.finished


def own_options(config: RunConfig, kind: type[OptionsT]) -> OptionsT:
    """The objective's options as its struct; its name, where the configuration has one, is none."""
    given = {key: value for key, value in config.objective.items() if key != "name"}
    return msgspec.convert(given, kind)
