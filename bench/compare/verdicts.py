"""One sentence on each pair, in plain language."""

from __future__ import annotations

from bench.compare.result import Comparison, Interval, Measurement, Pair, Significance
from bench.core.statistics import LEVEL
from bench.table.column import num_decimals


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
