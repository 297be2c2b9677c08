"""Timing that a busy machine does not spoil: contestants take turns, medians are compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of one call of a contestant."""

    median_sec: float
    fastest_sec: float


def take_turns(
    contestants: Mapping[Name, Callable[[], object]], *, num_rounds: int, warm_up: int = 2
) -> dict[Name, Timing]:
    """Call every contestant once a round, in turn, and time each call.

    Drift of the machine falls on all of them alike. The first `warm_up` rounds are not counted.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in contestants}
    for round_number in range(warm_up + num_rounds):
        for name, call in contestants.items():
            begun = time.perf_counter()
            call()
            if round_number >= warm_up:
                seconds[name].append(time.perf_counter() - begun)
    return {
        name: Timing(median_sec=statistics.median(times), fastest_sec=min(times))
        for name, times in seconds.items()
    }
