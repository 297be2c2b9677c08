"""Training programs timed side by side, and decoding in batches beside one by one.

Each batch is timed for itself: a rate is all units over the sum of the batches' median seconds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.data.corpora import Corpus
from bench.data.tokens import END
from bench.runs.resolve import Resolved
from bench.speed.machine import synchronize, take_turns, to_device
from bench.speed.steps import BareLoop, make_objective
from bench.training.objective import Objective
from bench.training.precision import autocast

NUM_BATCHES = 6
NUM_ALONE = 40
"""Sources that are decoded one by one; all of a split would take minutes."""
Batch = Any
ObjectiveT = TypeVar("ObjectiveT", bound=Objective)
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SpeedReport:
    """Speeds that were measured, ready to be printed."""

    heading: str
    limits: str = ""
    """The machine's limits, printed below the heading."""
    tables: Sequence[str]

    def __str__(self) -> str:
        first = f"{self.heading}\n{self.limits}" if self.limits else self.heading
        return "\n\n".join([first, *self.tables])


def heading(resolved: Resolved, *facts: str) -> str:
    """First line of a report: task, model and further facts."""
    return " · ".join((resolved.card.task, str(resolved.config.model["name"]), *facts))


class TrainingProgram(Protocol):
    """A program that makes training steps."""

    def step(self, batch: Batch) -> float:
        """Train on one batch; its loss."""
        ...


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A training program and the batches that it is timed on."""

    name: str
    program: TrainingProgram
    batches: Sequence[Batch]


class PlainSteps:
    """Training steps of a plain module, which maps a batch to its loss, beside an objective."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.model, self.device = model.to(objective.device), objective.device
        self.config = objective.config
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(self, batch: Batch) -> float:
        """Train on one batch; its loss."""
        with autocast(self.config.trainer, self.device):
            loss = self.model(batch)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optim.clip_at)
        self.optimizer.step()
        return float(loss.detach())


def timed_objective(kind: type[ObjectiveT], resolved: Resolved, corpus: Corpus) -> ObjectiveT:
    """The configured objective; BenchError if it is not of the kind that has plain programs."""
    objective = make_objective(resolved, corpus)
    if not isinstance(objective, kind):
        raise BenchError(f"no speed is measured of the objective {resolved.objective!r}")
    return objective


def num_weights(module: nn.Module) -> int:
    """Number of learned weights."""
    return sum(parameter.numel() for parameter in module.parameters())


def training_facts(objective: Objective, batches: Sequence[Batch], *, unit: str) -> str:
    """Facts of a heading: number of weights, and the mean size of the batches."""
    mean_units = sum(map(objective.units_in, batches)) / len(batches)
    return f"{num_weights(objective):,} weights · batches of {mean_units:,.0f} {unit}"


def shipped_contestant(objective: Objective, name: str = "shipped") -> Contestant:
    """The objective on its first training batches, which hold examples of like length."""
    batches = list(itertools.islice(objective.train_loader(), NUM_BATCHES))
    return Contestant(name=name, program=BareLoop(objective), batches=batches)


def plain_contestants(
    objective: Objective,
    models: Mapping[str, nn.Module],
    batches: Sequence[Batch],
    make: Callable[[Ids], Batch],
    num_examples: int,
) -> list[Contestant]:
    """Plain models, each on the shipped path's batches and on as many random ones."""
    at_random = random_batches(
        make,
        num_examples,
        num_batches=len(batches),
        size=round(num_examples / len(objective.train_loader())),
        seed=objective.config.seed,
    )
    orders = {"the same batches": batches, "batches at random": at_random}
    programs = {name: PlainSteps(model, objective) for name, model in models.items()}
    return [
        Contestant(name=f"{name}, {order}", program=program, batches=given)
        for name, program in programs.items()
        for order, given in orders.items()
    ]


def random_batches(
    make: Callable[[Ids], Batch], num_examples: int, *, num_batches: int, size: int, seed: int
) -> list[Batch]:
    """Batches of `size` examples in random order; `make` pads each to its longest example."""
    order = np.random.default_rng(seed).permutation(num_examples)
    starts = [number * size % num_examples for number in range(num_batches)]
    return [make(order[start : start + size]) for start in starts]


def contest(
    objective: Objective, contestants: Sequence[Contestant], *, unit: str, num_rounds: int
) -> str:
    """Table of the contestants' training steps beside the first one's, the shipped path.

    All of them have as many batches, which are moved to the objective's device.
    """
    on_device = [to_device(list(one.batches), objective.device) for one in contestants]
    calls = {
        (place, number): partial(one.program.step, on_device[place][number])
        for number in range(len(contestants[0].batches))
        for place, one in enumerate(contestants)
    }
    timings = take_turns(calls, num_rounds=num_rounds, warm_up=1, device=objective.device)
    rows, shipped_rate = [], 0.0
    for place, one in enumerate(contestants):
        numbers = range(len(one.batches))
        total_sec = sum(timings[place, number].median_sec for number in numbers)
        rate = sum(map(objective.units_in, one.batches)) / total_sec
        shipped_rate = shipped_rate or rate
        step_ms = f"{1e3 * total_sec / len(one.batches):.1f}"
        rows.append((one.name, step_ms, f"{rate:,.0f}", f"{shipped_rate / rate:.2f}"))
    return aligned(("a training step", "ms", f"{unit}/s", "x shipped"), rows)


def decoding_table(
    objective: Objective,
    single: Any,
    *,
    decode: Callable[[Batch], object],
    size_of: Callable[[Batch], int],
    source: str,
    beam_size: int,
) -> str:
    """Table of decoding the test split once in batches, and some of it one source at a time.

    `single` is a loader of the split in batches of one source. The end of a text is made
    improbable, so that an untrained network has as many words to find as `decode` allows.
    """
    objective.eval()
    with torch.no_grad():
        objective.get_parameter("network.output.bias")[END] -= 100.0
    rows, source_sec = [], list[float]()
    many = list(objective.evaluation_loader("test"))
    num_all = sum(map(size_of, many))
    alone = list(single.every(max(1, len(single) // NUM_ALONE)))
    for name, batches in (("in batches", many), ("one by one", alone)):
        num_sources, on_device = sum(map(size_of, batches)), to_device(batches, objective.device)
        synchronize(objective.device)
        started = time.perf_counter()
        for batch in on_device:
            decode(batch)
        synchronize(objective.device)
        source_sec.append((time.perf_counter() - started) / num_sources)
        times = f"{source_sec[-1] / source_sec[0]:.1f}"
        whole = f"{source_sec[-1] * num_all:.1f}"
        rows.append((f"{name} ({num_sources:,})", f"{1e3 * source_sec[-1]:.1f}", whole, times))
    columns = (f"beam {beam_size}", f"ms a {source}", f"s for {num_all:,}", "x batches")
    return aligned(columns, rows)
