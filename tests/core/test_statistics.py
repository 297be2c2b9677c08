from __future__ import annotations

import math
from typing import Literal

import pytest
from scipy import stats

from bench.core.statistics import (
    Measured,
    compare,
    holm,
    measure,
    printed_precision,
    t_quantile,
    two_sided_p,
    welch,
)

# Two-sided 95 % and 99 % points of Student's t as every textbook tabulates them.
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 30: 2.042, 100: 1.984}
T99 = {1: 63.657, 2: 9.925, 5: 4.032, 10: 3.169, 60: 2.660}


@pytest.mark.parametrize(("degrees", "expected"), T95.items())
def test_t_quantile_equals_the_printed_tables(degrees: int, expected: float) -> None:
    assert t_quantile(degrees, 0.95) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(("degrees", "expected"), T99.items())
def test_t_quantile_at_another_confidence(degrees: int, expected: float) -> None:
    assert t_quantile(degrees, 0.99) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("degrees", [1, 1.3, 2, 2.7, 4, 9.5, 30, 1e3, 1e5])
@pytest.mark.parametrize("t", [0.0, 1e-6, 0.1, 1.0, 2.5, 5.0, 50.0, 1e160])
def test_two_sided_p_equals_scipys(degrees: float, t: float) -> None:
    expected = 2 * stats.t.sf(t, degrees)
    assert two_sided_p(t, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-250)
    assert two_sided_p(-t, degrees) == two_sided_p(t, degrees)


@pytest.mark.parametrize("degrees", [1, 2, 3.3, 17])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_t_quantile_equals_scipys(degrees: float, confidence: float) -> None:
    expected = stats.t.ppf((1 + confidence) / 2, degrees)
    assert t_quantile(degrees, confidence) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([114.0, 115.0, 117.0], [115.1, 115.9, 117.2]),
        ([114.0, 115.0, 117.0], [120.0, 129.0]),
        ([1.0, 1.1], [2.0, 2.1]),
        ([5.0, 5.01, 5.0], [5.5, 5.6, 5.4, 5.8]),
    ],
)
def test_welch_equals_scipys(a: list[float], b: list[float]) -> None:
    expected = stats.ttest_ind(a, b, equal_var=False).pvalue
    assert welch(measure(a), measure(b)) == pytest.approx(expected, rel=1e-9)


def test_welch_without_spread_or_with_one_seed() -> None:
    same, other = measure([5.0, 5.0]), measure([5.1, 5.1])
    assert (welch(same, same), welch(same, other)) == (1.0, 0.0)
    assert welch(same, measure([5.0])) is None


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.01, 0.04, 0.03, 0.005, 0.2, 0.9], [0.05, 0.12, 0.12, 0.03, 0.4, 0.9]),
        ([0.6, 0.5], [1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_holm_steps_down(p_values: list[float], corrected: list[float]) -> None:
    """The second line is what statsmodels' `multipletests` answers, the others are by hand."""
    assert holm(p_values) == pytest.approx(corrected)


def test_measured_is_mean_and_sample_deviation() -> None:
    three = measure([114.0, 115.0, 117.0])
    assert (three.mean, three.std) == pytest.approx((346 / 3, math.sqrt(7 / 3)))
    assert three.n == 3
    assert measure([114.0]) == Measured(mean=114.0, std=None, n=1)


def test_interval_of_three_seeds() -> None:
    low, high = Measured(mean=10.0, std=1.0, n=3).interval()
    assert high - 10.0 == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert low + high == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("printed", "half"), [(115, 0.5), (115.0, 0.05), (141.2, 0.05), (54.44, 0.005)]
)
def test_printed_precision_is_half_a_unit_of_the_last_digit(printed: float, half: float) -> None:
    assert printed_precision(printed) == pytest.approx(half)


THREE = {"std": 1.0, "n": 3}  # half width 2.484


@pytest.mark.parametrize(
    ("mean", "spread", "direction", "protocol", "verdict"),
    [
        (115.0, THREE, "min", "same", "reproduced"),
        (117.9, THREE, "min", "same", "reproduced"),
        (118.1, THREE, "min", "same", "worse"),
        (111.9, THREE, "min", "same", "better"),
        (118.1, THREE, "max", "same", "better"),
        (111.9, THREE, "max", "same", "worse"),
        (115.0, THREE, "min", "class softmax", "not comparable"),
        (115.4, {"std": None, "n": 1}, "min", "same", "reproduced (1 seed)"),
        (115.6, {"std": None, "n": 1}, "min", "same", "worse (1 seed)"),
        (114.4, {"std": None, "n": 1}, "min", "same", "better (1 seed)"),
        (117.0, {"std": 0.3, "n": 2}, "min", "same", "reproduced (2 seeds)"),
        (119.0, {"std": 0.3, "n": 2}, "min", "same", "worse (2 seeds)"),
        (115.0, {"std": 0.0, "n": 3}, "min", "same", "reproduced"),
        (116.0, {"std": 0.0, "n": 3}, "min", "same", "worse"),
    ],
)
def test_every_verdict(
    mean: float,
    spread: dict[str, float | int | None],
    direction: Literal["min", "max"],
    protocol: str,
    verdict: str,
) -> None:
    std, n = spread["std"], spread["n"]
    assert isinstance(n, int)
    measured = Measured(mean=mean, std=std, n=n)
    assert compare(115, measured, direction=direction, protocol=protocol) == verdict


def test_a_tie_at_the_edge_of_rounding_is_reproduced() -> None:
    one = Measured(mean=50.05, std=None, n=1)
    assert compare(50.1, one, direction="min", protocol="same") == "reproduced (1 seed)"
