"""Checkpoints from which a killed run goes on bit for bit."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from bench.core.errors import BenchError

LAST = "last.ckpt"
WEIGHTS = "weights.pt"


class ExactCheckpoint(Checkpoint):
    """Writes `<folder>/last.ckpt` every so many steps and at each epoch's end, atomically.

    The last batch of an epoch is left to the epoch's end: a checkpoint between the two resumes
    before validation with its counters past it. Being a `Checkpoint`, it is called after the
    module's own hooks.
    """

    def __init__(self, folder: Path, *, every_steps: int) -> None:
        self.folder = folder
        self.every_steps = every_steps

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        progress = trainer.fit_loop.epoch_loop.batch_progress
        is_whole = progress.current.ready % trainer.accumulate_grad_batches == 0
        is_due = is_whole and trainer.global_step % self.every_steps == 0
        if is_due and not progress.is_last_batch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        temporary = self.folder / f".{LAST}.new"
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            replace_durably(temporary, self.folder / LAST)


def replace_durably(temporary: Path, path: Path) -> None:
    """Give a written file its name in one step, after its bytes have reached the disk."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def check_readable(path: Path) -> None:
    """Refuse a checkpoint that the disk has damaged, before anything is trained on it."""
    try:
        torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise BenchError(
            f"{path}: this checkpoint is damaged ({type(error).__name__}): delete it or add "
            "--again, and the run begins anew"
        ) from None


def save_weights(weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Keep a finished run's weights in `<folder>/weights.pt`: tensors, nothing to execute."""
    temporary = folder / f".{WEIGHTS}.new"
    torch.save(weights, temporary)
    replace_durably(temporary, folder / WEIGHTS)


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights that `save_weights` kept."""
    weights: dict[str, torch.Tensor] = torch.load(folder / WEIGHTS, weights_only=True)
    return weights
