"""Checkpoints from which a killed run goes on bit for bit."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor, nn

from bench.core.errors import BenchError, nearest

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


# Stopwatch with the weights of another run instead of drawn ones.


WHOLE = "model"


def warm_start(network: nn.Module, init: Mapping[str, str], runs: Path) -> None:
    """Load weights of finished runs, whose artifacts lie in `runs`, into parts of `network`.

    `init` maps a part (`model` for all of it, or a child such as `recurrence`) to a run; parts are
    loaded in the order of their names after the whole. Raises BenchError for an unknown part, a run
    without weights, and a parameter that is missing, superfluous or of another shape.
    """
    for part in sorted(init, key=lambda name: (name != WHOLE, name)):
        parts = {WHOLE: network, **dict(network.named_children())}
        if part not in parts:
            raise BenchError(f"init.{part}: the network has no such part, {nearest(part, parts)}")
        weights = _weights(part, init[part], runs)
        _check(parts[part].state_dict(), weights, where=f"init.{part}: run {init[part]}")
        parts[part].load_state_dict(weights)


def _weights(part: str, run_id: str, runs: Path) -> dict[str, Tensor]:
    """The run's tensors of one part, named as that part names them."""
    folder = runs / run_id
    if Path(run_id).name != run_id or not (folder / WEIGHTS).is_file():
        known = [path.parent.name for path in runs.glob(f"*/{WEIGHTS}")]
        hint = nearest(run_id, known) if known else "finish one first"
        raise BenchError(f"init.{part}: no weights of a run {run_id!r} in {runs}, {hint}")
    weights = load_weights(folder)
    if part == WHOLE:
        return weights
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }


def _check(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], *, where: str) -> None:
    for name in [*wanted, *given]:
        if name not in given:
            raise BenchError(f"{where} has no parameter {name!r}: begin with a run of this model")
        if name not in wanted:
            raise BenchError(f"{where} has the parameter {name!r}, which this model lacks")
        ours, theirs = _shape(wanted[name]), _shape(given[name])
        if ours != theirs:
            raise BenchError(f"{where}: {name!r} is of shape {theirs}, this model's is {ours}")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"
