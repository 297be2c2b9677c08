"""Definition of a sweep: frozen and complete. `bench.sweep.specification` reads it from a file."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec

from bench.core.config import WITHOUT_EFFECT, Count, Scalar
from bench.core.structs import Frozen
from bench.sweep.dimension import Dimension

Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class Budget(Frozen, frozen=True, kw_only=True):
    """Limits for each model of the sweep; the first one that is reached ends its trials."""

    trials: Count | None = None
    """Number of trials that finish, are pruned or diverge."""
    seconds: float | None = None
    """Training seconds of all trials together, validation included."""
    flops: float | None = None
    """Training FLOPs of all trials together."""
    parameters: Count | None = None
    """Weights of the network; the hidden size that comes nearest is solved for."""


class Sampler(Frozen, frozen=True, kw_only=True):
    """Optuna sampler that proposes trials."""

    name: Literal["tpe", "random", "grid", "qmc"] = "tpe"
    seed: Seed = 1
    startup: Annotated[int, msgspec.Meta(ge=0)] = 10
    """tpe: number of random trials before the first modelled one."""


class Pruner(Frozen, frozen=True, kw_only=True):
    """Optuna pruner that ends bad trials early."""

    name: Literal["median", "percentile", "asha", "hyperband", "none"] = "none"
    startup: Annotated[int, msgspec.Meta(ge=0)] = 5
    """median, percentile: number of first trials that are never pruned."""
    warmup: Annotated[int, msgspec.Meta(ge=0)] = 0
    """median, percentile: number of validations before a trial may be pruned."""
    percentile: Annotated[float, msgspec.Meta(gt=0, lt=100)] = 25.0
    """percentile: percentage of trials that goes on."""
    min_epochs: Count = 1
    """asha, hyperband: number of epochs before a trial may be pruned."""
    reduction: Annotated[int, msgspec.Meta(ge=2)] = 3
    """asha, hyperband: one of so many trials goes on."""


READ_BY: dict[str, tuple[str, ...]] = {
    "sampler.startup": ("tpe",),
    "pruner.startup": ("median", "percentile"),
    "pruner.warmup": ("median", "percentile"),
    "pruner.percentile": ("percentile",),
    "pruner.min_epochs": ("asha", "hyperband"),
    "pruner.reduction": ("asha", "hyperband"),
}
"""Keys that only some samplers or pruners read, with the names of those."""


class Sweep(Frozen, frozen=True, kw_only=True):
    """Search over the settings of some models on one task, under one space and budget."""

    name: str
    """Stem of the sweep file."""
    task: str
    models: list[str]
    fixed: dict[str, Scalar] = msgspec.field(default_factory=dict)
    """Dotted key -> value of every trial."""
    space: dict[str, Dimension]
    """Dotted key -> possible values, in the order of choice."""
    budget: Budget
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    seeds: list[Seed] = msgspec.field(default_factory=lambda: [1])
    """Seeds of each trial's runs; its value is their mean."""
    repeat_best: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Number of fresh seeds for full runs of the best configuration after the search."""
    start: list[dict[str, Scalar]] = msgspec.field(default_factory=list)
    """Points of the space, whole or partial, that are tried first."""


def definition_digest(sweep: Sweep, card_version: int) -> str:
    """Digest, of 16 hexadecimal digits, of all that affects a trial's value or the next proposal.

    Budget (but for its parameters), repeats, models and threads are left out: a study can go on
    under another value of these.
    """
    places = {*WITHOUT_EFFECT, "data.path"}  # a study knows its data by the content
    fixed = {key: value for key, value in sweep.fixed.items() if key not in places}
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
