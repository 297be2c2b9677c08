"""Interpolation: EM climbs, finds the best weights, and mixes what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.text.baselines.mix import fit_mixture, mix, perplexity


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
