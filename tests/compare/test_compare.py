"""Whole comparisons: tests, outcomes, verdicts and notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compared_runs import add_run, compared, make_suite
from scipy import stats

from bench.compare import Comparison, Pair, Reading, Resampling, compare
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.statistics import holm
from bench.core.suite import Suite


@pytest.fixture(scope="module")
def records(toy: Suite) -> dict[str, list[Record]]:
    """By model, in the order of their seeds."""
    found: dict[str, list[Record]] = {}
    for record in toy.records("toy"):
        found.setdefault(record.model, []).append(record)
    return found


def only_pair(comparison: Comparison) -> Pair:
    (pair,) = comparison.pairs
    return pair


def values(records: list[Record]) -> list[float]:
    return [record.metrics["test"] for record in records]


def test_two_groups_are_tested_over_seeds_and_over_units(
    toy: Suite, records: dict[str, list[Record]]
) -> None:
    pair = only_pair(compared(toy, "scrn", "srn"))
    a, b = values(records["scrn"]), values(records["srn"])
    assert [test.name for test in pair.tests] == ["Welch's t", "paired bootstrap", "permutation"]
    assert pair.outcome == "better"
    assert pair.difference == pytest.approx(np.mean(a) - np.mean(b))
    assert pair.p == pair.tests[0].p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert pair.tests[2].p == pytest.approx(0.1)
    over_units = pair.tests[1].interval
    assert over_units is not None
    assert over_units.low < pair.difference < over_units.high < 0
    assert pair.effect_size is not None
    assert pair.effect_size < -3
    better, worse = (f"{m}, hidden_size=100, context_size=40" for m in ("scrn", "srn"))
    assert pair.verdict.startswith(f"{better} is better than {worse} by ")
    assert "perplexity (95% interval " in pair.verdict
    assert "Welch's t, p < 0.001" in pair.verdict
    assert "3 seeds can resolve " in pair.verdict


def test_the_verdict_names_the_better_one_first_in_either_order(toy: Suite) -> None:
    one = only_pair(compared(toy, "scrn", "srn"))
    other = only_pair(compared(toy, "srn", "scrn"))
    assert other.outcome == "worse"
    assert other.difference == -one.difference
    assert other.verdict == one.verdict


def test_a_difference_within_the_spread_of_seeds_is_a_tie(toy: Suite) -> None:
    pair = only_pair(compared(toy, "scrn", "lstm"))
    assert pair.outcome == "tie"
    assert pair.verdict.startswith("A tie: scrn, ")
    assert "3 seeds can resolve " in pair.verdict


def test_single_runs_are_tested_over_units_only(toy: Suite) -> None:
    names = [f"{model}-name{model}-default-s1" for model in ("srn", "scrn")]
    pair = only_pair(compared(toy, *names))
    assert [test.name for test in pair.tests] == ["paired bootstrap"]
    assert pair.outcome == "worse"
    assert "paired bootstrap, p = 0.002" in pair.verdict, "2 / 1001: no resample disagrees"
    assert "one seed each: this is about these two trained models" in pair.verdict
    assert pair.resolvable is None


def test_a_seedless_model_is_a_constant(toy: Suite, records: dict[str, list[Record]]) -> None:
    pair = only_pair(compared(toy, "srn", "ngram"))
    mirrored = only_pair(compared(toy, "ngram", "srn"))
    a, (constant,) = values(records["srn"]), values(records["ngram"])
    assert [test.name for test in pair.tests] == ["one-sample t", "paired bootstrap"]
    assert pair.tests[0].p == pytest.approx(stats.ttest_1samp(a, constant).pvalue)
    assert mirrored.tests[0].p == pytest.approx(pair.tests[0].p)
    first, second = pair.tests[0].interval, mirrored.tests[0].interval
    assert first is not None
    assert second is not None
    assert (first.low, first.high) == pytest.approx((-second.high, -second.low))
    assert pair.outcome == "better"
    assert "one seed" not in pair.verdict
    assert pair.resolvable == pytest.approx(mirrored.resolvable)


def test_three_groups_are_every_pair_with_holms_correction(toy: Suite) -> None:
    comparison = compared(toy, "scrn", "lstm", "srn")
    assert [pair.outcome for pair in comparison.pairs] == ["tie", "better", "better"]
    raw = [pair.tests[0].p for pair in comparison.pairs]
    assert [pair.p for pair in comparison.pairs] == pytest.approx(holm(raw))
    assert sum(pair.p != p for pair, p in zip(comparison.pairs, raw, strict=True)) == 2
    assert "after Holm's correction for 3 comparisons" in comparison.pairs[0].verdict


def test_one_name_has_intervals_and_no_pair(toy: Suite, records: dict[str, list[Record]]) -> None:
    comparison = compared(toy, "lstm")
    (measurement,) = comparison.measurements
    mean = float(np.mean(values(records["lstm"])))
    over_seeds, over_units = measurement.over_seeds, measurement.over_units
    assert over_seeds is not None
    assert over_units is not None
    expected = stats.t.interval(0.95, 2, mean, stats.sem(values(records["lstm"])))
    assert (over_seeds.low, over_seeds.high) == pytest.approx(expected)
    assert over_units.low < mean < over_units.high
    assert comparison.pairs == []


def test_the_same_seed_draws_the_same_and_another_does_not(toy: Suite) -> None:
    one, same = (compared(toy, "scrn", "lstm") for _ in range(2))
    assert one == same
    other = compared(toy, "scrn", "lstm", seed=2)
    assert other.pairs[0].tests[1].interval != one.pairs[0].tests[1].interval
    assert other.pairs[0].tests[0] == one.pairs[0].tests[0]


def test_equal_runs_are_a_tie_with_p_1(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite")
    text_N = -np.random.default_rng(0).exponential(4.0, 2000)
    for model in ("scrn", "srn"):
        add_run(suite, text_N, model={"name": model})
    pair = only_pair(compared(suite, "scrn", "srn"))
    assert (pair.outcome, pair.p, pair.difference) == ("tie", 1.0, 0.0)


def test_a_shift_of_one_percent_is_seen_on_the_same_text_only(tmp_path: Path) -> None:
    """The intervals of the two runs overlap; the paired test tells them apart."""
    suite = make_suite(tmp_path / "suite")
    rng = np.random.default_rng(3)
    difficulty_N = np.repeat(rng.normal(4.5, 0.6, 300), 100)
    for model, shift in (("scrn", 0.0), ("srn", 0.01)):
        add_run(suite, -(difficulty_N + shift + rng.normal(0, 0.2, 30_000)), model={"name": model})
    comparison = compared(suite, "scrn", "srn")
    one, other = (m.over_units for m in comparison.measurements)
    assert one is not None
    assert other is not None
    assert one.high > other.low
    assert comparison.pairs[0].outcome == "better"


def test_too_few_resamples_are_noted(toy: Suite) -> None:
    names = [f"{model}-name{model}-default-s1" for model in ("scrn", "lstm", "srn")]
    few = compare(toy, names, task="toy", resampling=Resampling(num_resamples=100))
    assert few.notes == [
        "100 resamples and 3 comparisons leave no p below 0.059: give more --resamples"
    ]
    assert compared(toy, *names).notes == []
    groups = compare(
        toy, ["scrn", "lstm", "srn"], task="toy", resampling=Resampling(num_resamples=100)
    )
    assert groups.notes == [], "seeds decide"


@pytest.mark.parametrize(
    ("names", "reading", "resampling", "message"),
    [
        ([], Reading(split="test"), Resampling(), "name runs or groups"),
        (["scrn"], Reading(split="test", block_length=0), Resampling(), "--block-length 0"),
        (["scrn"], Reading(split="test"), Resampling(num_resamples=10), "--resamples 10"),
        (["scrn"], Reading(split="test"), Resampling(seed=-1), "--seed -1"),
    ],
)
def test_invalid_settings_are_rejected(
    toy: Suite, names: list[str], reading: Reading, resampling: Resampling, message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        compare(toy, names, reading=reading, resampling=resampling)
