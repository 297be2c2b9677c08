"""What a comparison says: numbers for programs, a sentence for people."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.core.statistics import LEVEL, Measured
from bench.core.structs import Frozen
from bench.table.column import num_decimals

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


# One sentence on each pair, in plain language.


def verdict(comparison: Comparison, pair: Pair) -> str:
    """Who is better, by how much, how sure that is, and what could have been seen."""
    named = {m.name: m for m in comparison.measurements}
    first, second = named[pair.first], named[pair.second]
    if not pair.tests:
        return _untested(comparison, pair, first, second)
    test = pair.tests[0]
    chance = _chance(comparison, pair, test)
    if pair.outcome == "tie":
        sentence = (
            f"A tie: {first.label} minus {second.label} is "
            f"{_amount(comparison, pair.difference, test.interval, chance)}"
        )
    else:
        better, worse = (first, second) if pair.outcome == "better" else (second, first)
        difference, interval = abs(pair.difference), test.interval
        if pair.difference < 0 and interval is not None:
            interval = Interval(low=-interval.high, high=-interval.low)
        amount = _amount(comparison, difference, interval, chance)
        sentence = f"{better.label} is better than {worse.label} by {amount}"
    return "; ".join([sentence, *_reservations(comparison, pair, first, second)]) + "."


def shown_p(p: float) -> str:
    """`= 0.012`, or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def shown(value: float, interval: Interval | None, metric: str) -> str:
    """`value` with the decimals that its interval makes meaningful."""
    return f"{value:.{decimals(interval, metric)}f}"


def shown_alone(value: float, metric: str) -> str:
    """`value` with two significant digits."""
    return f"{value:.{num_decimals(value, metric)}f}"


def decimals(interval: Interval | None, metric: str) -> int:
    """Two significant digits of half the interval; the metric's usual decimals without one."""
    return num_decimals((interval.high - interval.low) / 2 if interval else None, metric)


def shown_interval(interval: Interval | None, metric: str) -> str:
    """`13.4 to 15.4`; empty without an interval."""
    if interval is None:
        return ""
    return " to ".join(shown(end, interval, metric) for end in (interval.low, interval.high))


def _amount(
    comparison: Comparison, difference: float, interval: Interval | None, chance: str = ""
) -> str:
    metric = comparison.metric
    words = f"{shown(difference, interval, metric)} {metric.replace('-', ' ')}"
    if interval is None:
        return words
    ends = shown_interval(interval, metric)
    return f"{words} ({comparison.confidence:.0%} interval {ends}; {chance})"


def _chance(comparison: Comparison, pair: Pair, test: Significance) -> str:
    assert pair.p is not None
    words = f"{test.name}, p {shown_p(pair.p)}"
    count = sum(1 for other in comparison.pairs if other.tests)
    return words if count < 2 else f"{words} after Holm's correction for {count} comparisons"


def _reservations(
    comparison: Comparison, pair: Pair, first: Measurement, second: Measurement
) -> list[str]:
    """What the deciding test leaves open."""
    test, *others = pair.tests
    words = []
    if pair.resolvable is not None:
        n = first.measured.n, second.measured.n
        seeds = [str(k) for k in sorted(set(n)) if k > 1]
        amount = shown_alone(pair.resolvable, comparison.metric)
        words.append(f"{' and '.join(seeds)} seeds can resolve {amount}")
    if test.over == "units":
        words.append(_about_these_runs(first, second))
    for other in others:
        if other.over == "units" and (other.p < LEVEL) != (pair.outcome != "tie"):
            told = "differ" if other.p < LEVEL else "are tied"
            words.append(f"over test units, with these seeds, they {told} (p {shown_p(other.p)})")
    return [word for word in words if word]


def _about_these_runs(first: Measurement, second: Measurement) -> str:
    few = [m.label for m in (first, second) if m.measured.n < 2 and not m.seedless]
    if len(few) == 2:
        return "one seed each: this is about these two trained models, not about other seeds"
    return f"{few[0]} has one seed: this is about that trained model" if few else ""


def _untested(comparison: Comparison, pair: Pair, first: Measurement, second: Measurement) -> str:
    amount = _amount(comparison, pair.difference, None)
    return (
        f"Not tested: {first.label} minus {second.label} is {amount}, and there are neither two "
        "seeds of each nor test units of both."
    )
