"""Telling a sweep how a trial stands, which may answer that it is to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytorch_lightning as pl

from bench.training.objective import Objective

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
