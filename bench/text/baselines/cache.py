"""Cache language model: words that came lately come again (Kuhn & De Mori 1990).

Shapes: N tokens, K orders of cache, M = K + 1 interpolated models.

The cache of order k counts the n-grams of the history, an occurrence s steps ago counting
gamma_k^(s-1) (exponential decay as in Clarkson & Robinson 1997):

    p_k(w_t | history) = C_k(h w_t) / C_k(h),   h the k-1 words before w_t,
    p_k = p_{k-1} where C_k(h) = 0, and p_0 is the model that the cache is added to,
    p   = sum_{k=0..K} lambda_k p_k.

Each p_k sums to one, and so does p. Decays and weights are chosen on validation text. The cache
is empty at the start of a text, crosses the ends of sentences, and sees true words only after
they have been predicted. A look-up needs only the time and count of an n-gram's last occurrence,
so N tokens cost O(N) steps and memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.core.errors import BenchError
from bench.text.baselines.base import Floats, Ints, TextBaseline
from bench.text.baselines.counts import Contexts
from bench.text.baselines.mix import Mixture, fit_mixture, mix
from bench.text.baselines.ngram import NGram, Smoothing
from bench.training.baseline import Report

MAX_CACHE_ORDER = 4
# Half-lives in words that `fit_cache` tries for each order.
HALF_LIVES = (25, 50, 100, 140, 200, 280, 400, 800, 1600, 3200, 6400, 12800, 25600)


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """Decay per cache order [K] and interpolation weights [K + 1], the model's own first."""

    decays: tuple[float, ...]
    weights: tuple[float, ...]


def cache_log_probs(tokens: Ints, log_probs: Floats, settings: CacheSettings) -> Floats:
    """Log-probabilities [N] of `tokens` under a model with its cache, from the model's own [N]."""
    experts_MN = cache_experts(tokens, log_probs, settings.decays)
    return mix(experts_MN, np.array(settings.weights))


def fit_cache(tokens: Ints, log_probs: Floats, *, order: int = 1) -> tuple[CacheSettings, Mixture]:
    """Decays and weights that maximise the likelihood of validation text.

    Orders are settled one after the other, the lowest first, each by trying every half-life.
    """
    if not 1 <= order <= MAX_CACHE_ORDER:
        raise BenchError(f"cache order {order}: choose 1 to {MAX_CACHE_ORDER}")
    decays: tuple[float, ...] = ()
    for _ in range(order):
        tried = [(*decays, 0.5 ** (1 / half_life)) for half_life in HALF_LIVES]
        fits = [_weigh(tokens, log_probs, choice, tolerance=1e-6) for choice in tried]
        decays = tried[int(np.argmin([fit.perplexity for fit in fits]))]
    best = _weigh(tokens, log_probs, decays, tolerance=1e-9)
    return CacheSettings(decays=decays, weights=tuple(map(float, best.weights))), best


def cache_experts(tokens: Ints, log_probs: Floats, decays: tuple[float, ...]) -> Floats:
    """Log p_k of the true words for k = 0 .. K, [K + 1, N]; -inf where a cache excludes one."""
    if len(tokens) != len(log_probs):
        raise BenchError(f"{len(tokens)} tokens but {len(log_probs)} log-probabilities")
    experts = [np.asarray(log_probs, dtype=np.float64)]
    context_N = np.zeros(len(tokens), dtype=np.int64)
    for k, decay in enumerate(decays, start=1):
        if k > 1:
            context_N = _lengthen(context_N, _delay(tokens, k - 1))
        total_N = decayed_counts(context_N, decay)
        count_N = decayed_counts(_lengthen(context_N, tokens), decay)
        known_N = total_N > 0
        share_N = np.divide(count_N, total_N, out=np.zeros(len(tokens)), where=known_N)
        log_share_N = np.log(share_N, out=np.full(len(tokens), -np.inf), where=share_N > 0)
        experts.append(np.where(known_N, log_share_N, experts[-1]))
    return np.stack(experts)


def decayed_counts(events: Ints, decay: float) -> Floats:
    """For each t, sum over s < t with events[s] = events[t] of decay^(t-1-s)."""
    last: dict[int, tuple[int, float]] = {}
    counts = np.zeros(len(events))
    for t, event in enumerate(events.tolist()):
        if event in last:
            s, count = last[event]
            counts[t] = count * decay ** (t - 1 - s)
        last[event] = t, counts[t] * decay + 1.0
    return counts


def _weigh(
    tokens: Ints, log_probs: Floats, decays: tuple[float, ...], *, tolerance: float
) -> Mixture:
    return fit_mixture(cache_experts(tokens, log_probs, decays), tolerance=tolerance)


def _delay(tokens: Ints, steps: int) -> Ints:
    """The word `steps` earlier, -1 before the text."""
    return np.concatenate([np.full(min(steps, len(tokens)), -1), tokens[:-steps]])


def _lengthen(context_N: Ints, word_N: Ints) -> Ints:
    """Dense ids of the pairs (context, word)."""
    key_N = context_N * (int(word_N.max()) + 2) + word_N + 1
    ids: Ints = np.unique(key_N, return_inverse=True)[1].astype(np.int64)
    return ids


class Cache(TextBaseline):
    """An n-gram model with a cache over the text that it is predicting.

    Parameters
    ----------
    order
        Longest n-gram.
    smoothing
        Estimate of rare and unseen n-grams.
    contexts
        Contexts end at the beginning of a sentence, or go on across it.
    cache_order
        Longest n-gram of the cache.
    """

    def __init__(
        self,
        *,
        order: int = 5,
        smoothing: Smoothing = "modified-kneser-ney",
        contexts: Contexts = "within-sentences",
        cache_order: int = 1,
    ) -> None:
        if not 1 <= cache_order <= MAX_CACHE_ORDER:
            raise BenchError(f"cache_order {cache_order}: choose 1 to {MAX_CACHE_ORDER}")
        self.ngram = NGram(order=order, smoothing=smoothing, contexts=contexts)
        self.cache_order = cache_order
        self.settings: CacheSettings | None = None

    def fit(
        self,
        tokens: Ints,
        *,
        valid: Ints,
        vocabulary_size: int,
        end_of_sentence: int | None,
        report: Report | None = None,
    ) -> None:
        self.ngram.fit(
            tokens,
            valid=valid,
            vocabulary_size=vocabulary_size,
            end_of_sentence=end_of_sentence,
            report=report,
        )
        settings, fit = fit_cache(valid, self.ngram.log_probs(valid), order=self.cache_order)
        self.settings = settings
        if report is not None:
            decays = ", ".join(f"{decay:.5f}" for decay in settings.decays)
            weights = ", ".join(f"{weight:.3f}" for weight in settings.weights)
            report(f"cache: decays {decays}; weights {weights}; valid {fit.perplexity:.2f}")

    def log_probs(self, tokens: Ints) -> Floats:
        if self.settings is None:
            raise BenchError("this cache model has not been fitted: call fit() first")
        return cache_log_probs(tokens, self.ngram.log_probs(tokens), self.settings)

    @property
    def num_parameters(self) -> int:
        return self.ngram.num_parameters + 2 * self.cache_order + 1
