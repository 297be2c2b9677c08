"""Bootstrap over test units: agreement with scipy, coverage, power of pairing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.compare import Units
from bench.compare.over_units import bootstrap_p, bootstrap_units, multiplicities
from bench.core.errors import BenchError
from bench.text.outputs import TokenBlocks, token_blocks


@dataclass(frozen=True)
class Sentences:
    """Another kind of unit: errors and words of each sentence, whose metric is an error rate."""

    sums: Any
    noun: str = "sentences"
    method: str = "errors and words are added"

    def metric(self, sums_XK: Any) -> Any:
        return 100 * sums_XK[..., 0] / sums_XK[..., 1]


def blocks(values_U: Any, size: int = 10) -> TokenBlocks:
    """Blocks of `size` tokens whose mean losses are `values_U`; bits show them unbent."""
    return token_blocks(
        -np.repeat(values_U, size) * np.log(2), metric="bits-per-character", block_length=size
    )


def test_multiplicities_count_every_row() -> None:
    index_BU = np.array([[0, 0, 3, 1], [2, 2, 2, 2]])
    assert multiplicities(index_BU).tolist() == [[2, 1, 0, 1], [0, 0, 4, 0]]
    assert multiplicities(index_BU[0]).tolist() == [2, 1, 0, 1]


def test_the_interval_of_a_mean_equals_scipys() -> None:
    values_U = np.random.default_rng(1).gamma(2.0, 1.0, 60)
    (ours,), _ = bootstrap_units([[blocks(values_U)]], [], num_resamples=2000, seed=3)
    theirs = stats.bootstrap(
        (values_U,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_a_plain_loop_gives_the_same_intervals() -> None:
    """Perplexities of two groups, one of two runs, resampled one by one."""
    rng = np.random.default_rng(7)
    logs = [rng.normal(-4.0, 1.0, 95) for _ in range(3)]
    runs = [token_blocks(log, metric="perplexity", block_length=10) for log in logs]
    intervals, (difference,) = bootstrap_units(
        [[runs[0], runs[1]], [runs[2]]], [(0, 1)], num_resamples=300, seed=11
    )
    pieces = [[log[i : i + 10] for i in range(0, 95, 10)] for log in logs]
    draws = np.random.default_rng(11).integers(0, 10, (300, 10))
    a, b = [], []
    for draw in draws:
        text = [np.concatenate([own[unit] for unit in draw]) for own in pieces]
        perplexities = [np.exp(-piece.mean()) for piece in text]
        a.append((perplexities[0] + perplexities[1]) / 2)
        b.append(perplexities[2])
    found = (*intervals, difference.interval)
    for interval, drawn in zip(found, (a, b, np.subtract(a, b)), strict=True):
        expected = np.quantile(drawn, [0.025, 0.975])
        assert (interval.low, interval.high) == pytest.approx(tuple(expected), rel=1e-9)
    below = np.mean(np.subtract(a, b) <= 0)
    assert difference.p == pytest.approx(2 * min(below, 1 - below), abs=0.01)


def test_any_additive_statistics_can_be_resampled() -> None:
    rng = np.random.default_rng(2)
    words = rng.integers(3, 30, 80)
    sums = np.stack([rng.binomial(words, 0.2), words], axis=1).astype(float)
    worse = np.stack([np.minimum(words, sums[:, 0] + rng.binomial(1, 0.5, 80)), words], axis=1)
    first: Units = Sentences(sums)
    second: Units = Sentences(worse.astype(float))
    (low, high), (difference,) = bootstrap_units(
        [[first], [second]], [(0, 1)], num_resamples=1000, seed=1
    )
    rate = 100 * sums[:, 0].sum() / sums[:, 1].sum()
    assert low.low < rate < low.high
    assert difference.interval.high < 0
    assert difference.p < 0.01
    assert high.low > low.low


def test_intervals_have_their_nominal_coverage() -> None:
    """1,000 texts of 60 skewed blocks; the truth is known. Coverage may be off by three points."""
    rng = np.random.default_rng(17)
    num_texts, num_covered = 1000, 0
    for text in range(num_texts):
        losses_U = rng.gamma(4.0, 0.5, 60)  # mean 2
        (interval,), _ = bootstrap_units([[blocks(losses_U, 1)]], [], num_resamples=300, seed=text)
        num_covered += interval.low <= 2.0 <= interval.high
    assert 0.92 <= num_covered / num_texts <= 0.98


def test_the_paired_test_has_power_and_its_nominal_level() -> None:
    """A shift of a tenth of the text's own spread; tests at 0.05 err in about that share."""
    rng = np.random.default_rng(23)
    found = {0.0: 0, 0.1: 0}
    for text in range(300):
        difficulty_U = rng.normal(6.0, 1.0, 80)
        for shift in found:
            a, b = (blocks(difficulty_U + rng.normal(0, 0.2, 80) + s, 1) for s in (0.0, shift))
            _, (difference,) = bootstrap_units([[a], [b]], [(0, 1)], num_resamples=400, seed=text)
            found[shift] += difference.p < 0.05
    assert 0.01 <= found[0.0] / 300 <= 0.10
    assert found[0.1] / 300 >= 0.8


def test_p_and_interval_agree() -> None:
    rng = np.random.default_rng(29)
    for shift in np.linspace(0, 0.1, 20):
        base = rng.normal(6.0, 1.0, 50)
        a, b = blocks(base), blocks(base + rng.normal(shift, 0.2, 50))
        _, (difference,) = bootstrap_units([[a], [b]], [(0, 1)], num_resamples=4000, seed=1)
        outside = difference.interval.high < 0 or difference.interval.low > 0
        assert outside == (difference.p < 0.05) or abs(difference.p - 0.05) < 1e-3


@pytest.mark.parametrize(
    ("drawn", "p"),
    [
        ([1.0] * 99, 2 * 1 / 100),
        ([-1.0] * 99, 2 * 1 / 100),
        ([1.0] * 89 + [-1.0] * 10, 2 * 11 / 100),
        ([0.0] * 99, 1.0),
    ],
)
def test_p_counts_the_rarer_side(drawn: list[float], p: float) -> None:
    assert bootstrap_p(np.array(drawn)) == pytest.approx(p)


def test_longer_blocks_widen_the_interval_of_correlated_losses() -> None:
    rng = np.random.default_rng(31)
    losses_N = np.repeat(rng.normal(5.0, 1.0, 200), 50) + rng.normal(0, 1.0, 10_000)
    widths = []
    for length in (1, 50, 100):
        own = token_blocks(-losses_N, metric="perplexity", block_length=length)
        (interval,), _ = bootstrap_units([[own]], [], num_resamples=400, seed=1)
        widths.append(interval.high - interval.low)
    assert widths[1] > 3 * widths[0]
    assert widths[2] == pytest.approx(widths[1], rel=0.3)


def test_runs_over_different_units_are_rejected() -> None:
    with pytest.raises(BenchError, match=r"not measured on the same units: 100 .*, 90 "):
        bootstrap_units(
            [[blocks(np.ones(10))], [blocks(np.ones(9))]], [(0, 1)], num_resamples=100, seed=1
        )
