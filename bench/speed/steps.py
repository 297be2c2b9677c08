"""Training steps of an objective: in a bare loop, and under Lightning's Trainer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch

from bench.data.corpora import Corpus
from bench.runs.resolve import Resolved
from bench.speed.machine import device_of
from bench.tracking.tracker import NoTracker
from bench.training.callbacks import Clock, TrackCallback
from bench.training.fit import make_trainer, quiet_lightning
from bench.training.objective import Objective
from bench.training.optimiser import build_optimizer, clip_gradients
from bench.training.precision import autocast
from bench.training.progress import ProgressCallback

Batch = Any


def make_objective(resolved: Resolved, corpus: Corpus) -> Objective:
    """The task's objective around the configured model, on the device where it is timed."""
    torch.manual_seed(resolved.config.seed)
    objective = resolved.objective_class()(resolved.config, corpus)
    return objective.to(device_of(resolved))


class BareLoop:
    """Training steps of an objective, and nothing besides."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective.train()
        self.optimizer = build_optimizer(objective.config.optim, objective)
        self.parameters = list(objective.parameters())

    def step(self, batch: Batch) -> float:
        """Train on one batch; its loss."""
        with autocast(self.objective.config.trainer, self.objective.device):
            loss_sum, count = self.objective.batch_loss(batch)
            loss = self.objective.update_loss(loss_sum, count, batch)
        self.optimizer.zero_grad()
        self.objective.backward(loss)
        clip_gradients(self.objective.config.optim, self.parameters)
        self.optimizer.step()
        return float(loss.detach())


def bare_step_sec(objective: Objective, batches: list[Batch], *, skip: int = 5) -> float:
    """Mean seconds of a step in a bare loop, after the first `skip` batches."""
    loop = BareLoop(objective)
    for batch in batches[:skip]:
        loop.step(batch)
    started = time.perf_counter()
    for batch in batches[skip:]:
        loop.step(batch)
    return (time.perf_counter() - started) / (len(batches) - skip)


def trainer_step_sec(objective: Objective, batches: list[Batch], *, skip: int = 5) -> float:
    """Mean seconds of a step under the Trainer, with the callbacks of `bench run`."""
    timer = _StepTimer(skip)
    callbacks = [
        ProgressCallback("quiet", metric="perplexity"),
        TrackCallback(NoTracker()),
        Clock(),
        timer,
    ]
    with quiet_lightning():
        trainer = make_trainer(objective.config.trainer, callbacks, None)
        trainer.fit_loop.max_epochs = 1
        trainer.fit(objective, _Batches(batches), _Batches(batches[:1]))
    return timer.step_sec


class _Batches:
    """Batches as one loader; Lightning takes a bare list for a list of loaders."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


class _StepTimer(pl.Callback):
    """Mean seconds between the ends of two steps, after the first `skip`."""

    def __init__(self, skip: int) -> None:
        self.skip, self.num_steps = skip, 0
        self.started = self.ended = 0.0

    def on_train_batch_end(self, *_: Any) -> None:
        self.num_steps += 1
        self.ended = time.perf_counter()
        if self.num_steps == self.skip:
            self.started = self.ended

    @property
    def step_sec(self) -> float:
        return (self.ended - self.started) / (self.num_steps - self.skip)
