"""What a comparison says: numbers for programs, a sentence for people."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.core.statistics import Measured
from bench.core.structs import Frozen

Outcome = Literal["better", "worse", "tie", "untested"]
"""Of the first of a pair."""


class Interval(Frozen, frozen=True, kw_only=True):
    """A confidence interval."""

    low: float
    high: float


class Measurement(Frozen, frozen=True, kw_only=True):
    """One run, or all seeds of one configuration."""

    name: str
    """`<model>-<digest>`, with the seed where a single run was named."""
    label: str
    runs: list[str]
    seedless: bool
    """Whether every seed gives the same value, as where a model only counts."""
    num_diverged: int
    """Seeds that diverged; they have no value and are in no mean."""
    measured: Measured
    over_seeds: Interval | None = None
    """Student's interval of the mean: where other seeds would have put it."""
    over_units: Interval | None = None
    """Bootstrap interval: where other test data of the same kind would have put it."""


class Significance(Frozen, frozen=True, kw_only=True):
    """One test of the difference, first minus second, in the metric's unit."""

    name: Literal["paired bootstrap", "sacreBLEU", "Welch's t", "one-sample t", "permutation"]
    over: Literal["units", "seeds"]
    interval: Interval | None = None
    p: float
    """Two-sided."""
    detail: str


class Pair(Frozen, frozen=True, kw_only=True):
    """Two of the compared set side by side."""

    first: str
    second: str
    difference: float
    """Mean of the first minus mean of the second."""
    tests: list[Significance]
    """The one that decides stands first."""
    p: float | None = None
    """Of the deciding test, after Holm's correction for the number of pairs."""
    effect_size: float | None = None
    """Hedges' g over seeds: the difference in pooled standard deviations, without small-n bias."""
    resolvable: float | None = None
    """The smallest difference that these numbers of seeds find with the power that is asked."""
    outcome: Outcome = "untested"
    verdict: str = ""


class Comparison(Frozen, frozen=True, kw_only=True):
    """Everything that `bench compare` found; the fields in this order are the keys of its JSON."""

    task: str
    title: str
    metric: str
    direction: Literal["min", "max"]
    signature: str
    split: str
    confidence: float
    level: float
    """Of every test, two-sided."""
    power: float
    """With which a resolvable difference is found."""
    num_resamples: int
    seed: int
    """Of the resampling."""
    units: str | None = None
    """What was resampled, with its number; none where no run has its test units."""
    method: str | None = None
    """How a resample becomes the metric."""
    measurements: list[Measurement]
    pairs: list[Pair] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    """What is missing and how to get it."""
