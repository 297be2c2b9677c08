"""What a kind of task gives to its training: examples, a loss with its count, a metric.

A new objective is one subclass of `Objective` that fills this in, and one line in `OBJECTIVES`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import msgspec
import pytorch_lightning as pl
import torch
from torch import Tensor

from bench.core.config import RunConfig
from bench.core.structs import Frozen
from bench.data.corpora import Corpus

OptionsT = TypeVar("OptionsT", bound=Frozen)


class Contract(pl.LightningModule):
    """What `Objective` asks of its subclasses; what is not abstract has a usual answer.

    Losses are sums with their counts, so unequal batches aggregate exactly.
    """

    Options: ClassVar[type[Frozen]]
    unit: ClassVar[Literal["token", "frame", "label"]] = "token"
    """What throughput and arithmetic are counted in."""
    validation: ClassVar[Literal["divided", "whole"]] = "divided"
    """Of several processes, whether each evaluates a share of the validation split's batches, or
    all of them, as it must where a batch goes on from the state that the one before left."""
    whole_batches: ClassVar[str | None] = None
    """Why a batch's parts cannot be trained on one after another; None where its loss is a sum
    over examples. Among processes every batch is divided: they have its parts at once."""

    def __init__(self, config: RunConfig, corpus: Corpus) -> None:
        super().__init__()
        self.config = config
        self.corpus = corpus
        self.loss_limit = float("inf")
        """Mean loss of a batch above which the run has diverged."""
        self.weight_noise = 0.0
        """Standard deviation of the noise at which gradients are taken."""
        self.carried: tuple[Tensor, ...] | None = None
        """State at the end of the batch before, for a text that goes on."""
        self.evaluation_sums = torch.zeros(2, dtype=torch.float64)
        """Loss and count of the evaluation that was made last."""

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
        be shared."""

    @property
    @abstractmethod
    def metric(self) -> str:
        """The metric's name, as it stands in the record."""

    @abstractmethod
    def metric_value(self, mean_nats: float) -> float | None:
        """The metric for a mean loss in nats; None where it takes more than the loss."""

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

    @abstractmethod
    def units_in(self, batch: Any) -> int:
        """Units in a batch."""

    @property
    def bound(self) -> float | None:
        """The best possible metric on the test split, where the distribution is known."""
        return None

    @property
    def products_in_effect(self) -> str:
        """Precision of the matrix products that this machine really used."""
        return "float32"

    @property
    def findings(self) -> Sequence[dict[int, Any]]:
        """What an evaluation finds besides sums, by place in the split; batches add to it.

        Of several processes, each then has what all have found, to the same dictionaries.
        """
        return ()

    def end_evaluation(self) -> None:
        """Called once a split has been evaluated and all that was found is there."""

    def keep_evaluation(self, folder: Path, split: str) -> None:
        """Write what the evaluation of `split` found besides the metric; nothing by default."""

    def begin_sequence(self) -> None:
        """Forget the carried state: a new text begins."""
        self.carried = None

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: Any) -> Tensor:
        """The quantity that is differentiated; the mean over what was predicted, usually.

        Of several processes, `loss_sum` is of this one's part of the batch, `count` of all parts,
        and the results add up to what one process would have.
        """
        return loss_sum / count

    def evaluation_metric(self) -> float:
        """The metric of the evaluation that was made last."""
        value = self.metric_value(mean_loss(self.evaluation_sums))
        assert value is not None
        return value

    def beside_metric(self) -> dict[str, float]:
        """Signature -> value of what else is reported of the evaluation that was made last."""
        return {}

    def validation_choice(self) -> float:
        """What the schedule and the choice of the best weights minimise; the mean loss, usually."""
        return mean_loss(self.evaluation_sums)

    def curve_values(self, loss_train: float, loss_valid: float) -> dict[str, float | None]:
        """What a point of the learning curve says of both splits."""
        return {"train": self.metric_value(loss_train), "valid": self.evaluation_metric()}


def mean_loss(sums: Tensor) -> float:
    """The mean of a sum of losses and their count."""
    loss, count = (float(value) for value in sums)
    return loss / max(count, 1.0)


def own_options(config: RunConfig, kind: type[OptionsT]) -> OptionsT:
    """The objective's options as its struct; its name, where the configuration has one, is none."""
    given = {key: value for key, value in config.objective.items() if key != "name"}
    return msgspec.convert(given, kind)
