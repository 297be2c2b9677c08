"""Results of training or fitting, for the record."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.core.record import Cost, Divergence, Point


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The numbers of one run, before anything about the machine is added."""

    metrics: dict[str, float]
    metric: str
    signature: str
    bound: float | None = None
    """The best possible value on the test split, where the distribution is known."""
    cost: Cost
    curve: list[Point] = field(default_factory=list)
    divergence: Divergence | None = None
    pruned: bool = False
    """True where a sweep pruned it."""
    products: str = "float32"
    hardware: dict[str, str | int] = field(default_factory=dict)
    """Hardware besides this process and its machine."""
    extra: dict[str, float] = field(default_factory=dict)
    beside: dict[str, dict[str, float]] = field(default_factory=dict)
    """Signature -> split -> value of what is reported beside the metric."""
