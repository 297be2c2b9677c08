"""Interpolation: EM climbs, finds the best weights, and mixes what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from bench.core.errors import BenchError
from bench.text.baselines.mix import WEIGHT_DIGITS, fit_mixture, mix, perplexity


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 10**6))
def test_likelihood_never_falls_and_weights_sum_to_one(M: int, N: int, seed: int) -> None:
    log_probs_MN = -np.random.default_rng(seed).exponential(5, (M, N))
    fit = fit_mixture(log_probs_MN)
    assert np.all(np.diff(fit.log_likelihoods) >= -1e-12)
    assert fit.weights.sum() == pytest.approx(1.0)
    assert fit.log_likelihoods[-1] >= log_probs_MN.mean(axis=1).max() - 1e-3


def test_em_finds_the_weights_that_a_fine_grid_finds() -> None:
    rng = np.random.default_rng(0)
    log_probs_MN = np.log(rng.beta(1, 3, (2, 500)))
    fit = fit_mixture(log_probs_MN)
    grid = np.linspace(0.001, 0.999, 999)
    best = max(grid, key=lambda x: mix(log_probs_MN, np.array([x, 1 - x])).mean())
    assert fit.weights[0] == pytest.approx(best, abs=2e-3)


def test_mix_by_hand() -> None:
    mixed = mix(np.log([[0.5, 0.1], [0.25, 0.3]]), np.array([0.25, 0.75]))
    assert np.exp(mixed) == pytest.approx([0.3125, 0.25])
    assert perplexity(np.log([0.5, 0.125])) == pytest.approx(4.0)


def test_long_texts_of_tiny_probabilities_stay_finite() -> None:
    log_probs_MN = np.array([[-2000.0, -3000.0], [-2001.0, -np.inf]])
    fit = fit_mixture(log_probs_MN)
    assert fit.weights[0] == pytest.approx(1.0, abs=1e-3)
    assert np.isfinite(mix(log_probs_MN, fit.weights)).all()


@pytest.mark.parametrize(
    ("log_probs", "message"),
    [
        ([[-np.inf, -1.0], [-np.inf, -1.0]], "token 0"),
        ([[-1.0, np.nan], [-1.0, -1.0]], "token 1"),
        ([[-1.0, np.inf], [-1.0, -1.0]], "token 1"),
        ([-1.0, -2.0], "models, tokens"),
    ],
)
def test_what_cannot_be_mixed_is_refused(log_probs: list[list[float]], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        fit_mixture(np.array(log_probs))


@pytest.mark.parametrize("weights", [[1.0], [1.5, -0.5]])
def test_wrong_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(BenchError, match=r"need as many weights"):
        mix(np.zeros((2, 3)), np.array(weights))


@pytest.mark.parametrize("M", [2, 3, 8])
@pytest.mark.parametrize("noise", [0.01, 0.5])
def test_weights_are_right_to_the_printed_digits(M: int, noise: float) -> None:
    """Against scipy's constrained optimiser; alike models are where EM stops early."""
    rng = np.random.default_rng(M)
    common_N = -rng.exponential(4.0, 3000)
    log_probs_MN = common_N + noise * rng.standard_normal((M, 3000))
    log_probs_MN[-1] -= 1.0  # a model that should have no weight
    scaled_MN = np.exp(log_probs_MN - log_probs_MN.max(axis=0))

    def loss(weights_M: np.ndarray) -> float:
        return -float(np.log(weights_M @ scaled_MN).mean())

    def slope(weights_M: np.ndarray) -> np.ndarray:
        found: np.ndarray = -(scaled_MN / (weights_M @ scaled_MN)).mean(axis=1)
        return found

    best = optimize.minimize(
        loss,
        np.full(M, 1 / M),
        jac=slope,
        method="SLSQP",
        bounds=[(0, 1)] * M,
        constraints=[{"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda _: np.ones(M)}],
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    found = fit_mixture(log_probs_MN)
    np.testing.assert_allclose(found.weights, best.x, atol=0.5 * 10**-WEIGHT_DIGITS)
    assert loss(found.weights) <= loss(best.x) + 1e-10
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
