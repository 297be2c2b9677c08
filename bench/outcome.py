"""What a way of learning hands over for the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.record import Cost, Divergence, Point


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The numbers of one run, before anything about the machine is added."""

    metrics: dict[str, float]
    signature: str
    metric_value: Callable[[float], float]
    """From a mean loss in nats to the task's metric."""
    cost: Cost
    curve: list[Point] = field(default_factory=list)
    divergence: Divergence | None = None
    products: str = "float32"
    extra: dict[str, float] = field(default_factory=dict)
