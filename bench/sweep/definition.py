"""What a sweep is: frozen, typed, complete. `bench.sweep.specification` reads it from a file."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec

from bench.core.config import WITHOUT_EFFECT, Count, Scalar
from bench.core.structs import Frozen
from bench.sweep.dimension import Dimension

Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class Budget(Frozen, frozen=True, kw_only=True):
    """What each model of the sweep may spend; a sweep ends with the first that is used up."""

    trials: Count | None = None
    """Trials that are finished, pruned or diverged."""
    seconds: float | None = None
    """Training seconds of all trials together, validation included."""
    flops: float | None = None
    """Training FLOPs of all trials together."""
    parameters: Count | None = None
    """Weights of the network: the hidden size is solved to come nearest to it."""


class Sampler(Frozen, frozen=True, kw_only=True):
    """Who proposes the next trial."""

    name: Literal["tpe", "random", "grid", "qmc"] = "tpe"
    seed: Seed = 1
    startup: Annotated[int, msgspec.Meta(ge=0)] = 10
    """tpe: trials at random before the model of good trials begins."""


class Pruner(Frozen, frozen=True, kw_only=True):
    """Who ends a trial that does badly."""

    name: Literal["median", "percentile", "asha", "hyperband", "none"] = "none"
    startup: Annotated[int, msgspec.Meta(ge=0)] = 5
    """median, percentile: trials that are never pruned."""
    warmup: Annotated[int, msgspec.Meta(ge=0)] = 0
    """median, percentile: validations of a trial before it may be pruned."""
    percentile: Annotated[float, msgspec.Meta(gt=0, lt=100)] = 25.0
    """percentile: the share of trials that goes on."""
    min_epochs: Count = 1
    """asha, hyperband: epochs before a trial may be pruned."""
    reduction: Annotated[int, msgspec.Meta(ge=2)] = 3
    """asha, hyperband: one of so many trials goes on."""


READ_BY: dict[str, dict[str, tuple[str, ...]]] = {
    "sampler": {"startup": ("tpe",)},
    "pruner": {
        "startup": ("median", "percentile"),
        "warmup": ("median", "percentile"),
        "percentile": ("percentile",),
        "min_epochs": ("asha", "hyperband"),
        "reduction": ("asha", "hyperband"),
    },
}
"""Keys that not every sampler or pruner reads, and which ones do."""


class Sweep(Frozen, frozen=True, kw_only=True):
    """Trials of one task, one study a model, all under the same space and budget."""

    name: str
    """Stem of the file."""
    task: str
    models: list[str]
    fixed: dict[str, Scalar] = msgspec.field(default_factory=dict)
    """Dotted key -> value, for every trial."""
    space: dict[str, Dimension]
    """Dotted key -> possible values, in the order in which they are chosen."""
    budget: Budget
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    seeds: list[Seed] = msgspec.field(default_factory=lambda: [1])
    """Run seeds; a trial's value is the mean over them."""
    repeat_best: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Fresh seeds with which the best configuration is run in full after the budget."""
    start: list[dict[str, Scalar]] = msgspec.field(default_factory=list)
    """Points of the space that are tried first, whole or in part."""


def definition_digest(sweep: Sweep, card_version: int) -> str:
    """Sixteen hexadecimal digits of all that decides on a trial's number or on what is tried next.

    A larger budget, another number of repetitions, a further model or another number of threads
    leave it as it is, so a study can go on with them.
    """
    fixed = {key: value for key, value in sweep.fixed.items() if key not in WITHOUT_EFFECT}
    tree = {
        "task": sweep.task,
        "card_version": card_version,
        "fixed": fixed,
        "space": list(msgspec.to_builtins(sweep.space).items()),  # order decides what is drawn
        "parameters": sweep.budget.parameters,
        "sampler": msgspec.to_builtins(sweep.sampler),
        "pruner": msgspec.to_builtins(sweep.pruner),
        "seeds": sweep.seeds,
        "start": sweep.start,
    }
    return hashlib.sha256(msgspec.json.encode(tree, order="deterministic")).hexdigest()[:16]
