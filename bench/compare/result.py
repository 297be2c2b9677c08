"""Result of a comparison, and a sentence on each of its pairs."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.core.statistics import LEVEL, Measured
from bench.core.structs import Frozen
from bench.table.column import num_decimals

Outcome = Literal["better", "worse", "tie", "untested"]
"""Outcome for the first of a pair."""


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
    """True if every seed gives the same value, as in a model that only counts."""
    num_diverged: int
    """Diverged seeds, which have no value."""
    measured: Measured
    over_seeds: Interval | None = None
    """Student's interval of the mean: its variation over other seeds."""
    over_units: Interval | None = None
    """Bootstrap interval: its variation over other test data of the same kind."""


class Significance(Frozen, frozen=True, kw_only=True):
    """Test of the difference, first minus second, in the unit of the metric."""

    name: Literal["paired bootstrap", "sacreBLEU", "Welch's t", "one-sample t", "permutation"]
    over: Literal["units", "seeds"]
    interval: Interval | None = None
    p: float
    """Two-sided."""
    detail: str


class Pair(Frozen, frozen=True, kw_only=True):
    """Two subjects compared."""

    first: str
    second: str
    difference: float
    """Mean of the first minus mean of the second."""
    tests: list[Significance]
    """Tests, the deciding one first."""
    p: float | None = None
    """p of the deciding test, after Holm's correction for the number of pairs."""
    effect_size: float | None = None
    """Hedges' g over seeds: the difference in pooled standard deviations, without small-n bias."""
    resolvable: float | None = None
    """Smallest difference that these numbers of seeds find with the required power."""
    outcome: Outcome = "untested"
    verdict: str = ""


class Comparison(Frozen, frozen=True, kw_only=True):
    """Result of `bench compare`; the order of the fields is that of the keys in JSON."""

    task: str
    title: str
    metric: str
    direction: Literal["min", "max"]
    signature: str
    split: str
    confidence: float
    level: float
    """Level of every test, two-sided."""
    power: float
    """Probability with which a resolvable difference is found."""
    num_resamples: int
    seed: int
    """Seed of the resampling."""
    units: str | None = None
    """Description of the resampled units; None if no run has any."""
    method: str | None = None
    """Description of the step from a resample to the metric."""
    measurements: list[Measurement]
    pairs: list[Pair] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    """Missing parts and how to get them."""


def verdict(comparison: Comparison, pair: Pair) -> str:
    """Sentence on a pair: the better one, the difference, its significance, and reservations."""
    named = {m.name: m for m in comparison.measurements}
    first, second = named[pair.first], named[pair.second]
    if not pair.tests:
        amount = _amount(comparison, pair.difference, None)
        return (
            f"Not tested: {first.label} minus {second.label} is {amount}, and there are neither "
            "two seeds of each nor test units of both."
        )
    interval = pair.tests[0].interval
    test = _significance(comparison, pair)
    if pair.outcome == "tie":
        amount = _amount(comparison, pair.difference, interval, test)
        sentence = f"A tie: {first.label} minus {second.label} is {amount}"
    else:
        better, worse = (first, second) if pair.outcome == "better" else (second, first)
        if pair.difference < 0 and interval is not None:
            interval = Interval(low=-interval.high, high=-interval.low)
        amount = _amount(comparison, abs(pair.difference), interval, test)
        sentence = f"{better.label} is better than {worse.label} by {amount}"
    return "; ".join([sentence, *_reservations(comparison, pair, first, second)]) + "."


def _amount(
    comparison: Comparison, difference: float, interval: Interval | None, test: str = ""
) -> str:
    metric = comparison.metric
    amount = f"{format_value(difference, interval, metric)} {metric.replace('-', ' ')}"
    if interval is None:
        return amount
    ends = format_interval(interval, metric)
    return f"{amount} ({comparison.confidence:.0%} interval {ends}; {test})"


def _significance(comparison: Comparison, pair: Pair) -> str:
    assert pair.p is not None
    test = f"{pair.tests[0].name}, p {format_p(pair.p)}"
    count = sum(1 for other in comparison.pairs if other.tests)
    return test if count < 2 else f"{test} after Holm's correction for {count} comparisons"


def _reservations(
    comparison: Comparison, pair: Pair, first: Measurement, second: Measurement
) -> list[str]:
    """Limits of the deciding test."""
    test, *others = pair.tests
    found = []
    if pair.resolvable is not None:
        counts = sorted({first.measured.n, second.measured.n} - {0, 1})
        amount = format_alone(pair.resolvable, comparison.metric)
        found.append(f"{' and '.join(map(str, counts))} seeds can resolve {amount}")
    single = [m.label for m in (first, second) if m.measured.n < 2 and not m.seedless]
    if test.over == "units" and len(single) == 2:
        found.append("one seed each: this is about these two trained models, not about other seeds")
    elif test.over == "units" and single:
        found.append(f"{single[0]} has one seed: this is about that trained model")
    for other in others:
        if other.over == "units" and (other.p < LEVEL) != (pair.outcome != "tie"):
            result = "differ" if other.p < LEVEL else "are tied"
            p = format_p(other.p)
            found.append(f"over test units, with these seeds, they {result} (p {p})")
    return found


def format_p(p: float) -> str:
    """`= 0.012`, or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def format_value(value: float, interval: Interval | None, metric: str, sign: str = "") -> str:
    """Value with two significant digits of half its interval; the metric's usual without one."""
    spread = (interval.high - interval.low) / 2 if interval else None
    return f"{value:{sign}.{num_decimals(spread, metric)}f}"


def format_alone(value: float, metric: str) -> str:
    """Value with two significant digits."""
    return f"{value:.{num_decimals(value, metric)}f}"


def format_interval(interval: Interval | None, metric: str) -> str:
    """`13.4 to 15.4`; empty without an interval."""
    if interval is None:
        return ""
    return " to ".join(format_value(end, interval, metric) for end in (interval.low, interval.high))
