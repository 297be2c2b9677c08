"""The cache: by hand, against a plain loop, as a distribution, and its choice on validation."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import BenchError
from bench.text.baselines.cache import (
    Cache,
    CacheSettings,
    cache_experts,
    cache_log_probs,
    decayed_counts,
    fit_cache,
)


def test_decayed_counts_by_hand() -> None:
    # x . x x: at t = 2 one x two steps ago, 1/2; at t = 3 steps 1 and 3 ago, 1 + 1/4.
    assert decayed_counts(np.array([7, 0, 7, 7]), 0.5) == pytest.approx([0, 0, 0.5, 1.25])


def plain_experts(tokens: list[int], model: list[float], decays: list[float]) -> list[list[float]]:
    """p_0 .. p_K of the true words, by their definition."""
    rows = [model]
    for k, decay in enumerate(decays, start=1):
        row = []
        for t in range(len(tokens)):
            count = total = 0.0
            for s in range(k - 1, t):
                if t >= k - 1 and tokens[s - k + 1 : s] == tokens[t - k + 1 : t]:
                    total += decay ** (t - 1 - s)
                    count += decay ** (t - 1 - s) * (tokens[s] == tokens[t])
            row.append(count / total if total > 0 else rows[-1][t])
        rows.append(row)
    return rows


@pytest.mark.parametrize("decays", [(0.9,), (0.8, 0.95), (0.5, 0.9, 1.0)])
def test_experts_equal_the_plain_loop(decays: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    tokens, model = rng.integers(0, 4, 80), rng.uniform(0.1, 1, 80)
    expected = plain_experts(tokens.tolist(), model.tolist(), list(decays))
    got = np.exp(cache_experts(tokens, np.log(model), decays))
    assert got == pytest.approx(np.array(expected), abs=1e-12)


@pytest.mark.parametrize("length", [0, 1, 2, 30])
def test_the_mixture_sums_to_one_over_the_next_word(length: int) -> None:
    rng = np.random.default_rng(length)
    history, model = rng.integers(0, 5, length), rng.dirichlet(np.ones(5), size=length + 1)
    settings = CacheSettings(decays=(0.9, 0.95, 0.99), weights=(0.4, 0.3, 0.2, 0.1))
    total = 0.0
    for word in range(5):
        tokens = np.append(history, word)
        own = np.log(model[np.arange(length + 1), tokens])
        total += np.exp(cache_log_probs(tokens, own, settings)[-1])
    assert total == pytest.approx(1.0, abs=1e-12)


def test_the_cache_sees_no_word_before_it_is_predicted() -> None:
    rng = np.random.default_rng(0)
    tokens, own = rng.integers(0, 5, 50), np.log(rng.uniform(0.1, 1, 50))
    settings = CacheSettings(decays=(0.9, 0.95), weights=(0.5, 0.3, 0.2))
    changed = np.append(tokens[:30], (tokens[30:] + 1) % 5)
    before = cache_log_probs(tokens, own, settings)
    after = cache_log_probs(changed, own, settings)
    assert np.array_equal(before[:30], after[:30])
    assert not np.array_equal(before, after)


def test_fit_prefers_the_cache_where_words_repeat() -> None:
    rng = np.random.default_rng(0)
    bursts = np.concatenate([rng.choice(rng.integers(0, 1000, 5), 100) for _ in range(30)])
    own = np.full(len(bursts), np.log(1 / 1000))
    settings, fit = fit_cache(bursts, own, order=1)
    assert settings.weights[0] < 0.2
    assert settings.decays[0] < 0.99
    assert np.exp(-cache_log_probs(bursts, own, settings).mean()) == pytest.approx(fit.perplexity)
    nothing = rng.permutation(1000)
    settings, _ = fit_cache(nothing, own[:1000], order=1)
    assert settings.weights[0] > 0.99


def test_cache_baseline_reports_its_choice() -> None:
    rng = np.random.default_rng(0)
    text, said = rng.zipf(1.5, 500) % 20, list[str]()
    model = Cache(order=2, cache_order=2)
    model.fit(text, valid=text[:300], vocabulary_size=20, end_of_sentence=0, report=said.append)
    assert said[-1].startswith("cache: decays")
    assert np.isfinite(model.log_probs(text)).all()
    assert model.num_parameters == model.ngram.num_parameters + 5


@pytest.mark.parametrize("order", [0, 5])
def test_orders_that_do_not_exist_are_refused(order: int) -> None:
    with pytest.raises(BenchError, match=f"cache_order {order}"):
        Cache(cache_order=order)
