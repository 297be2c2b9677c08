"""Metrics of one pass over a split: exact for any batching and any number of processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torchmetrics
from torch import Tensor

from bench.training.collective import num_ranks, of_each


class Score(NamedTuple):
    """Result of one pass over a split."""

    value: float
    """The metric that a record holds."""
    loss: float
    """Mean of the loss, in nats."""
    choice: float
    """Quantity that schedules and the choice of the best weights minimise."""
    beside: Mapping[str, float] = {}
    """Signature -> value of what is reported beside the metric."""
    num_units: float = 0.0
    """Number of units that the loss is the mean of."""


class SplitMetric(torchmetrics.Metric):
    """Metric with a signature, updated batch by batch.

    States are float64 sums, or values keyed by place in the split. Where a split is divided among
    processes (`divided`), sums are added and keyed values united, so that `compute` returns the
    same as in one process.
    """

    full_state_update = False
    divided: bool
    """True where processes share the split."""
    loss: Tensor
    """Sum of the loss in nats, and its count [2], float64."""

    def __init__(self, *, name: str) -> None:
        super().__init__(distributed_available_fn=self._is_shared)
        self.name = name
        self.divided = False
        self._keyed: list[dict[int, Any]] = []
        self.add_state("loss", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def _is_shared(self) -> bool:
        return self.divided and num_ranks() > 1

    @property
    def signature(self) -> str:
        """Definition of the value: units, protocol, what is counted."""
        raise NotImplementedError

    def keyed(self) -> dict[int, Any]:
        """A new state of values keyed by place in the split."""
        self._keyed.append({})
        return self._keyed[-1]

    def update(self, loss_sum: Tensor, count: Tensor) -> None:
        """Add the loss of a batch, in nats, and the number of units that it sums over."""
        self.loss += torch.stack([loss_sum.double(), count.double()]).to(self.loss)

    def compute(self) -> Score:
        """Score of everything since `reset`; where the loss is not finite, nothing else is."""
        loss = self.mean_loss()
        if not math.isfinite(loss):
            return Score(value=math.nan, loss=loss, choice=math.nan)
        return self.score(loss)._replace(num_units=float(self.loss[1]))

    def mean_loss(self) -> float:
        """Mean of the loss in nats."""
        return mean_of(self.loss)

    def score(self, loss: float) -> Score:
        """Score of a pass whose mean loss is `loss` and finite."""
        raise NotImplementedError

    def from_loss(self, loss: float) -> float | None:
        """Metric for a mean loss in nats, None where it takes more than the loss."""
        del loss
        return None

    def keep(self, folder: Path, split: str) -> None:
        """Write what the pass found besides its score; nothing by default."""

    def reset(self) -> None:
        super().reset()
        for state in self._keyed:
            state.clear()

    def _sync_dist(self, *arguments: Any, **options: Any) -> None:
        super()._sync_dist(*arguments, **options)
        for state in self._keyed:
            for part in of_each(dict(state)):
                state.update(part)


def mean_of(sums: Tensor) -> float:
    """Mean of a sum of losses and their count [2]."""
    loss, count = (float(value) for value in sums)
    return loss / max(count, 1.0)
