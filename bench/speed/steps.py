"""Training steps of the shipped path: in a bare loop, and under Lightning's Trainer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch

from bench.data.corpora import Corpus
from bench.runs.resolve import Resolved
from bench.speed.machine import device_of
from bench.tracking.callback import TrackCallback
from bench.tracking.tracker import NoTracker
from bench.training.callbacks import Clock
from bench.training.fit import make_trainer, quiet_lightning
from bench.training.objective import Objective
from bench.training.optimiser import build_optimizer, clip_gradients
from bench.training.precision import autocast
from bench.training.progress import ProgressCallback

Batch = Any


class BareLoop:
    """What a step needs and nothing else: loss, gradients, clipping, optimiser."""

    def __init__(self, objective: Objective, batches: list[Batch]) -> None:
        self.objective, self.batches = objective.train(), batches
        self.optimizer = build_optimizer(objective.config.optim, objective)
        self.parameters = list(objective.parameters())
        self.place = 0

    def __call__(self) -> float:
        batch = self.batches[self.place % len(self.batches)]
        self.place += 1
        return self.step(batch)

    def step(self, batch: Batch) -> float:
        """A step on one batch; its loss."""
        with autocast(self.objective.config.trainer, self.objective.device):
            loss_sum, count = self.objective.batch_loss(batch)
            loss = self.objective.update_loss(loss_sum, count, batch)
        self.optimizer.zero_grad()
        self.objective.backward(loss)
        clip_gradients(self.objective.config.optim, self.parameters)
        self.optimizer.step()
        return float(loss.detach())


class _Batches:
    """Batches as one loader; Lightning takes a bare list for a list of loaders."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


class _StepTimer(pl.Callback):
    """Seconds from the end of one step to the end of the last, the first few left out."""

    def __init__(self, skip: int) -> None:
        self.skip, self.num_steps = skip, 0
        self.begun, self.ended = 0.0, 0.0

    def on_train_batch_end(self, *_: Any) -> None:
        self.num_steps += 1
        self.ended = time.perf_counter()
        if self.num_steps == self.skip:
            self.begun = self.ended

    @property
    def step_sec(self) -> float:
        return (self.ended - self.begun) / (self.num_steps - self.skip)


def make_objective(resolved: Resolved, corpus: Corpus) -> Objective:
    """The task's objective around the configured model, freshly seeded, where it is timed."""
    torch.manual_seed(resolved.config.seed)
    made = resolved.objective_class()(resolved.config, corpus)
    return made.to(device_of(resolved))


def bare_step_sec(objective: Objective, batches: list[Batch], *, skip: int = 5) -> float:
    """Seconds a step in a bare loop over the batches."""
    loop = BareLoop(objective, batches)
    for _ in range(skip):
        loop()
    begun = time.perf_counter()
    for _ in range(len(batches) - skip):
        loop()
    return (time.perf_counter() - begun) / (len(batches) - skip)


def trainer_step_sec(objective: Objective, batches: list[Batch], *, skip: int = 5) -> float:
    """Seconds a step under the Trainer with everything that `bench run` hangs on it."""
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
