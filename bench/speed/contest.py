"""Training programs side by side on batches that differ in length.

Each batch is timed for itself: the rate is all units over the sum of the batches' medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.core.aligned import aligned
from bench.speed.machine import CPU, moved, take_turns, wait_for

NUM_BATCHES = 6
Batch = Any


class Stepping(Protocol):
    """What makes training steps."""

    def step(self, batch: Batch) -> float:
        """A step on one batch; its loss."""
        ...


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A program and the batches it is given."""

    name: str
    program: Stepping
    batches: Sequence[Batch]


class PlainSteps:
    """Training steps of a plain program, a module from a batch to its loss, on a device."""

    def __init__(self, model: nn.Module, *, clip_at: float, device: torch.device = CPU) -> None:
        self.model, self.clip_at = model.to(device), clip_at
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(self, batch: Batch) -> float:
        """A step on one batch; its loss."""
        loss = self.model(batch)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_at)
        self.optimizer.step()
        return float(loss.detach())


def contest(
    contestants: Sequence[Contestant],
    *,
    unit: str,
    units_in: Callable[[Batch], int],
    num_rounds: int,
    device: torch.device = CPU,
) -> str:
    """The table of all contestants, as many batches each; the first is what they are set beside.

    Programs are where they are timed, batches are brought there.
    """
    there = [moved(list(one.batches), device) for one in contestants]
    calls = {
        (place, number): partial(one.program.step, there[place][number])
        for number in range(len(contestants[0].batches))
        for place, one in enumerate(contestants)
    }
    timings = take_turns(calls, num_rounds=num_rounds, warm_up=1, device=device)
    rows, shipped_rate = [], 0.0
    for place, one in enumerate(contestants):
        numbers = range(len(one.batches))
        total_sec = sum(timings[place, number].median_sec for number in numbers)
        rate = sum(map(units_in, one.batches)) / total_sec
        shipped_rate = shipped_rate or rate
        step_ms = f"{1e3 * total_sec / len(one.batches):.1f}"
        rows.append((one.name, step_ms, f"{rate:,.0f}", f"{shipped_rate / rate:.2f}"))
    return aligned(("a training step", "ms", f"{unit}/s", "x shipped"), rows)


def batches_at_random(
    make: Callable[[npt.NDArray[np.int64]], Batch],
    num_examples: int,
    *,
    num_batches: int,
    size: int,
    seed: int,
) -> list[Batch]:
    """Examples in any order, `size` in each batch, which `make` pads to the longest of it."""
    order = np.random.default_rng(seed).permutation(num_examples)
    starts = [number * size % num_examples for number in range(num_batches)]
    return [make(order[start : start + size]) for start in starts]


# Searches over many sources at once beside searches over one at a time.


NUM_ALONE = 40
"""Sources that are searched one by one; all of a split would take minutes."""


def decoding_table(
    beam_size: int,
    many: Sequence[Any],
    alone: Sequence[Any],
    *,
    decode: Callable[[Any], object],
    size_of: Callable[[Any], int],
    source: str,
    num_all: int,
    device: torch.device = CPU,
) -> str:
    """Time each way once; `size_of` a batch is its number of sources, `num_all` that of the split.

    `source` is what a source is called.
    """
    rows, each_sec = [], list[float]()
    for name, batches in (("in batches", many), ("one by one", alone)):
        num_sources = sum(map(size_of, batches))
        there = moved(list(batches), device)
        wait_for(device)
        begun = time.perf_counter()
        for batch in there:
            decode(batch)
        wait_for(device)
        each_sec.append((time.perf_counter() - begun) / num_sources)
        times = f"{each_sec[-1] / each_sec[0]:.1f}"
        whole = f"{each_sec[-1] * num_all:.1f}"
        rows.append((f"{name} ({num_sources:,})", f"{1e3 * each_sec[-1]:.1f}", whole, times))
    columns = (f"beam {beam_size}", f"ms a {source}", f"s for {num_all:,}", "x batches")
    return aligned(columns, rows)
