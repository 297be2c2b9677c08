"""The ways to evaluate a trained network that adapt to the text, with their options.

Every option is given, or chosen on validation from a small grid. Test is read once, with what was
chosen.

Shapes: N tokens, K thetas.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from bench.core.config import Count, Positive
from bench.core.structs import Frozen
from bench.text.baselines.mix import fit_mixture, mix
from bench.text.objectives.dynamic import dynamic_log_probs
from bench.text.objectives.language_model import LanguageModel, Share
from bench.text.objectives.neural_cache import neural_cache_log_probs
from bench.text.outputs import Floats

Mode = Literal["dynamic", "neural-cache"]
Chosen = dict[str, float]
Grid = Mapping[str, Sequence[Any]]


class DynamicOptions(Frozen, frozen=True, kw_only=True):
    """Options of dynamic evaluation."""

    lr: Positive = 0.03
    """Step along the gradient of a segment's summed loss."""
    segment_length: Count = 20
    """Tokens between updates."""


class NeuralCacheOptions(Frozen, frozen=True, kw_only=True):
    """Options of the neural cache."""

    theta: Positive = 0.3
    """Sharpness: the larger, the fewer states count."""
    window: Count = 2000
    """States in the cache."""
    share: Share | None = None
    """Weight of the cache; always chosen on validation where not given."""


OPTIONS: dict[Mode, type[Frozen]] = {"dynamic": DynamicOptions, "neural-cache": NeuralCacheOptions}
GRIDS: dict[Mode, dict[str, tuple[float, ...]]] = {
    "dynamic": {"lr": (0.003, 0.01, 0.03, 0.1, 0.3), "segment_length": (5, 20)},
    "neural-cache": {
        "theta": (0.03, 0.1, 0.2, 0.3, 0.5, 1.0),
        "window": (500, 2000),
        "share": (None,),  # type: ignore[dict-item]
    },
}


def choose(model: LanguageModel, mode: Mode, grid: Grid) -> tuple[Chosen, Floats]:
    """The best point of a grid for validation, and the log-probabilities [N] that it gives."""
    tried = _dynamic_points(model, grid) if mode == "dynamic" else _cache_points(model, grid)
    return min(tried, key=lambda point: _loss(point[1]))


def score(model: LanguageModel, mode: Mode, split: str, chosen: Chosen) -> Floats:
    """Log-probabilities of a split [N] at one point of the grid."""
    if mode == "dynamic":
        length = int(chosen["segment_length"])
        return dynamic_log_probs(model, split, lr=chosen["lr"], segment_length=length)
    thetas, window = [chosen["theta"]], int(chosen["window"])
    model_N, cache_1N = neural_cache_log_probs(model, split, window=window, thetas=thetas)
    return _interpolated(model_N, cache_1N[0], chosen["share"])


def _dynamic_points(model: LanguageModel, grid: Grid) -> list[tuple[Chosen, Floats]]:
    """Rising learning rates for each length, until one is worse than the one before."""
    points: list[tuple[Chosen, Floats]] = []
    for length in grid["segment_length"]:
        best = math.inf
        for lr in sorted(grid["lr"]):
            chosen: Chosen = {"lr": lr, "segment_length": length}
            points.append((chosen, score(model, "dynamic", "valid", chosen)))
            if _loss(points[-1][1]) > best:
                break
            best = _loss(points[-1][1])
    return points


def _cache_points(model: LanguageModel, grid: Grid) -> list[tuple[Chosen, Floats]]:
    """Every theta, window and share; a share of None is the best one."""
    points: list[tuple[Chosen, Floats]] = []
    for window in grid["window"]:
        model_N, cache_KN = neural_cache_log_probs(
            model, "valid", window=window, thetas=grid["theta"]
        )
        pairs = zip(grid["theta"], cache_KN, strict=True)
        for (theta, cache_N), share in itertools.product(pairs, grid["share"]):
            if share is None:
                share = float(fit_mixture(np.stack([model_N, cache_N])).weights[1])
            chosen: Chosen = {"theta": theta, "window": window, "share": share}
            points.append((chosen, _interpolated(model_N, cache_N, share)))
    return points


def _interpolated(model_N: Floats, cache_N: Floats, share: float) -> Floats:
    return mix(np.stack([model_N, cache_N]), np.array([1.0 - share, share]))


def _loss(log_probs_N: Floats) -> float:
    """Mean negative log-probability, infinite where the numbers were left."""
    loss = -float(np.mean(log_probs_N))
    return math.inf if math.isnan(loss) else loss
