"""Progress of a run: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Literal, Protocol

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench.training.objective import Objective

Style = Literal["live", "plain", "quiet"]


class View(Protocol):
    """Something that shows how far a run is."""

    def begin(self, *, num_batches: int, num_epochs: int, done: int) -> None: ...
    def batch(self, text: str, done: int) -> None: ...
    def epoch(self, text: str) -> None: ...
    def end(self) -> None: ...


class LiveView:
    """A bar over all epochs, redrawn in place, with a line left behind for each validation."""

    def begin(self, *, num_batches: int, num_epochs: int, done: int) -> None:
        self._bar = Progress(
            BarColumn(bar_width=10),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.description}"),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("starting", total=num_batches * num_epochs, completed=done)
        self._bar.start()

    def batch(self, text: str, done: int) -> None:
        self._bar.update(self._task, description=text, completed=done)

    def epoch(self, text: str) -> None:
        self._bar.console.print(text, highlight=False)

    def end(self) -> None:
        self._bar.stop()


class PlainView:
    """One line for each validation, for logs and pipes."""

    def begin(self, *, num_batches: int, num_epochs: int, done: int) -> None:
        if done:
            self.epoch(f"resumed after batch {done} of {num_batches * num_epochs}")

    def batch(self, text: str, done: int) -> None:
        pass

    def epoch(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        pass


class QuietView(PlainView):
    """Nothing."""

    def epoch(self, text: str) -> None:
        pass


class ProgressCallback(pl.Callback):
    """Feeds a view from the training loop, a few times a second at the most."""

    def __init__(self, style: Style, *, metric: str) -> None:
        views: dict[Style, type[View]] = {
            "live": LiveView,
            "plain": PlainView,
            "quiet": QuietView,
        }
        self.view: View = views[style]()
        self.metric = metric
        self._shown_sec = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Objective)
        epochs = trainer.max_epochs or 1
        batches = int(trainer.num_training_batches) // trainer.accumulate_grad_batches
        self.view.begin(num_batches=batches, num_epochs=epochs, done=trainer.global_step)
        self._mark(pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Objective)
        self._mark(pl_module)

    def _mark(self, objective: Objective) -> None:
        self._since, self._units = time.perf_counter(), objective.train_units

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        now = time.perf_counter()
        if now - self._shown_sec < 0.25:
            return
        self._shown_sec = now
        assert isinstance(pl_module, Objective)
        self.view.batch(self._describe(trainer, pl_module), trainer.global_step)

    def _describe(self, trainer: pl.Trainer, objective: Objective) -> str:
        loss, count = (float(value) for value in objective.train_sums)
        mean = loss / max(count, 1.0)
        value = objective.metric.from_loss(mean)
        train = f"loss {mean:.4g}" if value is None else f"train {value:.4g}"
        valid = f" valid {objective.curve[-1]['valid']:.4g}" if objective.curve else ""
        return (
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs} "
            f"{self._rate(objective):,.0f} {objective.unit}s/s {train}{valid}"
        )

    def _rate(self, objective: Objective) -> float:
        elapsed_sec = time.perf_counter() - self._since
        return (objective.train_units - self._units) / max(elapsed_sec, 1e-9)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            assert isinstance(pl_module, Objective)
            self._epoch_rate = self._rate(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Objective)
        point = pl_module.curve[-1]
        train = "" if point["train"] is None else f"train {point['train']:.4g}  "
        loss = ""
        if "loss_valid" in point:
            loss = f"loss {point['loss_train']:.3g} valid {point['loss_valid']:.3g}  "
        self.view.epoch(
            f"epoch {point['epoch']:.0f}/{trainer.max_epochs}  {loss}{train}"
            f"valid {point['valid']:.4g} {self.metric}  lr {point['lr']:.3g}  "
            f"{self._epoch_rate:,.0f} {pl_module.unit}s/s"
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Objective)
        self.view.batch("done", trainer.global_step)
        self.view.end()

    def on_exception(self, *_: Any) -> None:
        self.view.end()
