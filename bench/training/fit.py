"""Lightning's Trainer as this suite uses it: silent, exact, resumable."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy

from bench.core.config import TrainerConfig
from bench.core.errors import BenchError
from bench.core.ranks import ALONE, Rank
from bench.data.batching import MicroBatches
from bench.training.callbacks import Clock
from bench.training.checkpoint import LAST, ExactCheckpoint, check_readable
from bench.training.metrics import Score
from bench.training.objective import Objective
from bench.training.precision import precision_plugins, set_float32
from bench.training.process_group import ProcessGroup, SuddenEnd


def fit(
    objective: Objective,
    folder: Path,
    *,
    clock: Clock | None = None,
    callbacks: Sequence[pl.Callback] = (),
    process_group: ProcessGroup | None = None,
) -> None:
    """Train to the end, from `folder`/last.ckpt where there is one, and load the best weights.

    `clock` counts what it takes, to an early end as well. Raises DivergedError when the loss
    leaves the numbers; a kill at any moment leaves the folder ready for the next call. All
    processes of a `crew` call it together and end with the same weights.
    """
    config, process_group = objective.config.trainer, process_group or ProcessGroup()
    folder.mkdir(parents=True, exist_ok=True)
    clock = clock or Clock()
    checkpoint = ExactCheckpoint(folder, every_steps=config.checkpoint_every_steps)
    last = folder / LAST
    if last.exists():
        check_readable(last)
    objective.prepare()
    with quiet_lightning(), process_group.training():
        trainer = make_trainer(config, [clock, *callbacks, checkpoint], folder, process_group.rank)
        try:
            trainer.fit(
                objective,
                _train_loader(objective, trainer),
                objective.validation_loader(
                    rank=trainer.global_rank, world_size=trainer.world_size
                ),
                ckpt_path=str(last) if last.exists() else None,
                weights_only=True,
            )
        except SystemExit:  # what Lightning makes of Ctrl-C
            if not trainer.interrupted:
                raise
        if trainer.interrupted:
            raise KeyboardInterrupt
    assert objective.best_weights is not None
    objective.load_state_dict(objective.best_weights)


def _train_loader(objective: Objective, trainer: pl.Trainer) -> Any:
    """This process's part of every batch, itself in parts where gradients are accumulated."""
    rank, num_parts = trainer.global_rank, objective.config.trainer.accumulate
    loaders = [
        objective.train_loader(
            rank=rank * num_parts + part, world_size=trainer.world_size * num_parts
        )
        for part in range(num_parts)
    ]
    return MicroBatches(loaders) if num_parts > 1 else loaders[0]


def evaluate(objective: Objective, split: str, *, keep: Path | None = None) -> Score:
    """Score of a split, with the weights as they are, in one pass.

    What the pass finds besides, such as per-token log-probabilities, goes to the folder `keep`.
    """
    with quiet_lightning():
        trainer = make_trainer(objective.config.trainer, [], None)
        trainer.test(objective, objective.evaluation_loader(split), verbose=False)
    if keep is not None:
        objective.keep(keep, split)
    score: Score = objective.metric.compute()
    return score


def make_trainer(
    config: TrainerConfig, callbacks: list[pl.Callback], folder: Path | None, rank: Rank = ALONE
) -> pl.Trainer:
    """A Trainer without output or files of its own; clipping and logging are the objective's.

    `rank`: of the processes that train together; else one process on one device.
    """
    if config.accelerator == "gpu" and not torch.cuda.is_available():
        raise BenchError("trainer.accelerator is gpu, but torch sees none: use cpu or auto")
    set_float32(config)
    return pl.Trainer(
        accelerator=config.accelerator,
        max_epochs=config.max_epochs,
        callbacks=[*callbacks, SuddenEnd()] if rank.size > 1 else callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(c, pl.callbacks.Checkpoint) for c in callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
        accumulate_grad_batches=config.accumulate,
        **_places(config, rank, precision_plugins(config)),
    )


def _places(config: TrainerConfig, rank: Rank, precision: list[Any]) -> dict[str, Any]:
    """Arguments of the Trainer on devices, strategy and precision."""
    if rank.size == 1:  # one alone, whatever the environment says of others
        return {"devices": 1, "plugins": [LightningEnvironment(), *precision]}
    # Looking for weights without a gradient also keeps gradients in the same buckets from the
    # first step, so that three summands are always added in one order.
    strategy = DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)
    return {
        "devices": config.devices,
        "num_nodes": config.num_nodes,
        "strategy": strategy,
        "plugins": [TorchElasticEnvironment(), *precision],
    }


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's advice on loaders and devices is for programs, not for our users."""
    loggers: list[Any] = [logging.getLogger(n) for n in ("pytorch_lightning", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        # Said on the login nodes of every cluster; `bench` is started by srun where it should be.
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Said of the library's recurrences on a GPU; ours are given weights made for each call.
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
        # Of several processes one may have no batch of a small split.
        warnings.filterwarnings("ignore", message="The ``compute`` method of metric")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
