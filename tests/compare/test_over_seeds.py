"""Tests over seeds, against scipy, statsmodels, enumeration and simulation."""

from __future__ import annotations

import math
import warnings
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from bench.compare.over_seeds import (
    effect_size,
    min_permutation_p,
    one_sample_test,
    permutation_test,
    pooled_std,
    resolvable_difference,
    welch_test,
)

A = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
B = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]


def test_welch_on_known_data() -> None:
    """The interval, t, degrees of freedom and p that statsmodels 0.15 gives."""
    found = welch_test(A, B)
    assert found is not None
    assert found.interval is not None
    ends = (found.interval.low, found.interval.high)
    assert ends == pytest.approx((-3.984096267140929, -0.3492370661924069))
    assert found.p == pytest.approx(0.021378001462866773)
    assert found.detail == "t = -2.46, 25 degrees of freedom"
    assert (found.name, found.over) == ("Welch's t", "seeds")


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([1.0, 1.0], [2.0, 2.0]), ([], [])])
def test_no_test_without_seeds_or_spread(a: list[float], b: list[float]) -> None:
    assert welch_test(a, b) is None


def test_one_side_without_spread_is_tested_and_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = welch_test([5.0, 5.0, 5.0], [6.0, 6.1, 6.2])
    assert found is not None
    alone = stats.ttest_1samp([6.0, 6.1, 6.2], 5.0).pvalue
    assert found.p == pytest.approx(alone)


def test_a_constant_is_tested_by_one_sample() -> None:
    found = one_sample_test([6.0, 6.1, 6.2], 5.0)
    expected = stats.ttest_1samp([6.0, 6.1, 6.2], 5.0)
    assert found is not None
    assert found.interval is not None
    assert found.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((low - 5, high - 5))
    assert one_sample_test([6.0], 5.0) is None


@pytest.mark.parametrize(("num_a", "num_b"), [(3, 3), (2, 4), (4, 3)])
def test_few_seeds_are_permuted_exactly(num_a: int, num_b: int) -> None:
    rng = np.random.default_rng(num_a)
    a, b = rng.normal(0, 1, num_a), rng.normal(1, 1, num_b)
    pooled = np.concatenate([a, b])
    differences = np.array(
        [
            pooled[list(chosen)].mean() - np.delete(pooled, chosen).mean()
            for chosen in combinations(range(num_a + num_b), num_a)
        ]
    )
    seen = a.mean() - b.mean()
    sides = np.mean(differences <= seen + 1e-12), np.mean(differences >= seen - 1e-12)
    found = permutation_test(list(a), list(b), num_resamples=1000, seed=1)
    assert found is not None
    assert found.p == pytest.approx(min(1.0, 2 * min(sides)))
    assert f"all {math.comb(num_a + num_b, num_a)} arrangements" in found.detail


def test_many_seeds_are_permuted_at_random_and_reproducibly() -> None:
    first, second = (permutation_test(A, B, num_resamples=2000, seed=1) for _ in range(2))
    assert first == second
    assert first is not None
    assert "2,000 random arrangements" in first.detail
    assert first.p == pytest.approx(0.02, abs=0.01)


@pytest.mark.parametrize(("num_a", "num_b", "p"), [(3, 3, 0.1), (2, 2, 1 / 3), (5, 5, 2 / 252)])
def test_the_smallest_p_is_reached_by_groups_that_do_not_overlap(
    num_a: int, num_b: int, p: float
) -> None:
    a, b = list(np.arange(num_a) * 1.0), list(np.arange(num_b) + 100.0)
    found = permutation_test(a, b, num_resamples=10_000, seed=1)
    assert found is not None
    assert found.p == pytest.approx(p)
    assert min_permutation_p(num_a, num_b) == pytest.approx(p)


def test_pooled_deviation_weighs_by_degrees_of_freedom() -> None:
    a, b = [1.0, 2.0, 3.0], [5.0, 9.0]
    assert pooled_std(a, b) == pytest.approx(math.sqrt((2 * 1.0 + 1 * 8.0) / 3))
    assert pooled_std(a, [4.0]) == pytest.approx(1.0)
    assert pooled_std([1.0], [2.0]) is None


def test_effect_size_is_corrected_for_few_seeds() -> None:
    a, b = [10.0, 11.0, 12.0], [13.0, 14.0, 15.0]
    # d = -3; the correction for 4 degrees of freedom is Gamma(2) / (sqrt(2) Gamma(1.5)).
    assert effect_size(a, b) == pytest.approx(-3 / (math.sqrt(2) * math.gamma(1.5)))
    assert effect_size(a, [1.0]) is None
    assert effect_size([1.0, 1.0], [2.0, 2.0]) is None


@pytest.mark.parametrize(
    ("num", "expected"),
    [(2, 11.549889755), (3, 3.264043553), (5, 1.681997083), (34, 0.495029131)],
)
def test_the_resolvable_difference_from_a_constant_equals_that_of_statsmodels(
    num: int, expected: float
) -> None:
    """`TTestPower` of statsmodels 0.15, level 0.05, power 0.8."""
    assert resolvable_difference(1.0, num, None) == pytest.approx(expected, rel=1e-5)
    assert resolvable_difference(2.5, num, None) == pytest.approx(2.5 * expected, rel=1e-5)


@pytest.mark.parametrize(("num_a", "num_b"), [(2, 2), (3, 3), (8, 8), (3, 5), (5, 2), (2, 10)])
def test_a_resolvable_difference_is_found_by_welchs_test_with_the_stated_power(
    num_a: int, num_b: int
) -> None:
    rng = np.random.default_rng(num_a)
    difference = resolvable_difference(1.0, num_a, num_b)
    a, b = rng.normal(0, 1, (40_000, num_a)), rng.normal(difference, 1, (40_000, num_b))
    p_X = stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue
    assert np.mean(p_X < 0.05) == pytest.approx(0.8, abs=0.009)


def test_many_seeds_resolve_what_students_test_does() -> None:
    """`TTestIndPower` of statsmodels 0.15 pools, which hardly matters for 64 seeds a side."""
    assert resolvable_difference(1.0, 64, 64) == pytest.approx(0.499069177, rel=1e-3)
