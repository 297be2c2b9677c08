"""Interpolation of language models, with weights by expectation-maximisation.

Shapes: M models, N tokens. Probabilities enter and leave as natural logs.

p(w_t) = sum_m lambda_m p_m(w_t). The weights that maximise the likelihood of held-out text are
the fixed point of (Jelinek & Mercer 1980)

    lambda_m <- 1/N sum_t lambda_m p_m(w_t) / sum_j lambda_j p_j(w_t),

which raises the likelihood at every step; it is concave in lambda, so the start does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.core.errors import BenchError
from bench.text.baselines.base import Floats

WEIGHT_DIGITS = 4
"""Decimals of a weight that are right, and printed."""
NUM_NEWTON_STEPS = 50
SMALL = 1e-9


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Weights [M] that sum to one, and the mean log-likelihood before each step and at the end."""

    weights: Floats
    log_likelihoods: tuple[float, ...]

    @property
    def perplexity(self) -> float:
        """On the text that chose the weights."""
        return float(np.exp(-self.log_likelihoods[-1]))


def fit_mixture(
    log_probs_MN: Floats, *, tolerance: float = 1e-9, max_iterations: int = 2000
) -> Mixture:
    """The interpolation weights that maximise the likelihood of held-out text.

    Expectation-maximisation until a step gains less than `tolerance` nats a token, then Newton's
    method, since the likelihood is flat where EM ends: the weights are right to WEIGHT_DIGITS.
    """
    log_probs_MN = _check(log_probs_MN)
    M, N = log_probs_MN.shape
    best_N = log_probs_MN.max(axis=0)
    scaled_MN = np.exp(log_probs_MN - best_N)
    weights = np.full(M, 1.0 / M)
    likelihoods: list[float] = []
    for _ in range(max_iterations):
        mixed_N = weights @ scaled_MN
        likelihoods.append(float(np.mean(np.log(mixed_N) + best_N)))
        if len(likelihoods) > 1 and likelihoods[-1] - likelihoods[-2] < tolerance:
            break
        weights = weights * (scaled_MN @ (1.0 / mixed_N)) / N
    weights = _polished(weights / weights.sum(), scaled_MN)
    likelihoods.append(float(np.mean(np.log(weights @ scaled_MN) + best_N)))
    return Mixture(weights=weights, log_likelihoods=tuple(likelihoods))


def _polished(weights_M: Floats, scaled_MN: Floats) -> Floats:
    """Weights after Newton steps on the simplex; those given where a step would not help.

    A weight at zero is free again where the likelihood would grow with it.
    """
    for _ in range(NUM_NEWTON_STEPS):
        share_MN = scaled_MN / (weights_M @ scaled_MN)
        gradient_M = share_MN.mean(axis=1)
        free = (weights_M > SMALL) | (gradient_M > 1 + SMALL)
        inner_FN = share_MN[free]
        num_free = len(inner_FN)
        # [H 1; 1' 0] [d; l] = [g; 0], where H = E[s s'] is minus the Hessian of the likelihood.
        system = np.ones((num_free + 1, num_free + 1))
        system[:-1, :-1] = inner_FN @ inner_FN.T / scaled_MN.shape[1]
        system[-1, -1] = 0.0
        step, *_ = np.linalg.lstsq(system, np.append(gradient_M[free], 0.0), rcond=None)
        moved_M = np.zeros_like(weights_M)
        moved_M[free] = np.maximum(weights_M[free] + step[:-1], 0.0)
        moved_M /= moved_M.sum()
        before, after = (np.log(each @ scaled_MN).mean() for each in (weights_M, moved_M))
        if after < before:
            return weights_M
        change, weights_M = np.abs(moved_M - weights_M).max(), moved_M
        if change < SMALL:
            break
    return weights_M


def mix(log_probs_MN: Floats, weights: Floats) -> Floats:
    """Log-probabilities [N] of the interpolated models."""
    log_probs_MN = _check(log_probs_MN)
    if len(weights) != len(log_probs_MN) or np.any(weights < 0):
        raise BenchError(
            f"{len(log_probs_MN)} models need as many weights, none negative: got {weights}"
        )
    best_N = log_probs_MN.max(axis=0)
    mixed_N: Floats = np.log(weights @ np.exp(log_probs_MN - best_N)) + best_N
    return mixed_N


def perplexity(log_probs_N: Floats) -> float:
    """exp of the mean negative log-probability."""
    return float(np.exp(-np.mean(log_probs_N, dtype=np.float64)))


def _check(log_probs_MN: Floats) -> Floats:
    log_probs_MN = np.asarray(log_probs_MN, dtype=np.float64)
    if log_probs_MN.ndim != 2 or log_probs_MN.size == 0:
        raise BenchError(f"expected log-probabilities [models, tokens], not {log_probs_MN.shape}")
    impossible = ~np.isfinite(log_probs_MN.max(axis=0)) | np.isnan(log_probs_MN).any(axis=0)
    if impossible.any():
        t = int(np.flatnonzero(impossible)[0])
        raise BenchError(f"token {t}: no model gives it a finite log-probability; nothing to mix")
    return log_probs_MN
