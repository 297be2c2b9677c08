"""Timing that a busy machine does not spoil: contestants take turns, medians are compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from bench.models.fast.cuda_graphs import SIGHTINGS

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of one call of a contestant."""

    median_sec: float
    fastest_sec: float


CPU = torch.device("cpu")


def take_turns(
    contestants: Mapping[Name, Callable[[], object]],
    *,
    num_rounds: int,
    warm_up: int = 2,
    device: torch.device = CPU,
) -> dict[Name, Timing]:
    """Call every contestant once a round, in turn, and time each call.

    Drift of the machine falls on all of them alike. The first `warm_up` rounds are not counted; on
    a GPU as many as it takes until graphs have been recorded. There a call ends when its work does.
    """
    if device.type == "cuda":
        warm_up = max(warm_up, SIGHTINGS + 1)
    seconds: dict[Name, list[float]] = {name: [] for name in contestants}
    for round_number in range(warm_up + num_rounds):
        for name, call in contestants.items():
            wait_for(device)
            begun = time.perf_counter()
            call()
            wait_for(device)
            if round_number >= warm_up:
                seconds[name].append(time.perf_counter() - begun)
    return {
        name: Timing(median_sec=statistics.median(times), fastest_sec=min(times))
        for name, times in seconds.items()
    }


def wait_for(device: torch.device) -> None:
    """Until a GPU has done what it was given; a CPU has when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
