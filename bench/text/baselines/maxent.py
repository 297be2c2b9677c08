"""Maximum-entropy n-gram model, trained exactly.

Shapes: N tokens, V vocabulary.

With one weight theta per n-gram of the training text, orders 1 to n (Rosenfeld 1996):

    s(h, w) = theta(w) + theta(h_1 w) + .. + theta(h_{n-1} w),   h_j the last j words of h,
    p(w | h) = exp s(h, w) / Z(h),                               theta = 0 for the unseen.

The training maximises  log-likelihood - alpha sum |theta| - sum theta^2 / (2 sigma^2), alpha = 0.5
and sigma^2 = 6 as Chen (2009, "Performance prediction for exponential language models"). The
weights of single words have no L1 penalty, and their Gaussian is centred on the log relative
frequency: a centre at zero would pull all of them up together, which p does not feel and which
slows convergence. Iteration ends when the validation perplexity gains less than 0.1% in 5 steps.

Normalisation is exact and cheap because the features nest (exponential.py).

RNNME (Mikolov et al. 2011) hashes the same features into a fixed table, divides words into
classes and trains by stochastic gradient; none of the three approximations is made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.core.errors import BenchError
from bench.text.baselines.baseline import Baseline, Floats, Ints, Report, check_tokens
from bench.text.baselines.counts import Contexts, Trie
from bench.text.baselines.exponential import Exponential
from bench.text.baselines.mix import perplexity
from bench.text.baselines.quasi_newton import minimise

_CHECK_EVERY = 5
_SMALLEST_GAIN = 1e-3


class MaxEnt(Baseline):
    """A maximum-entropy n-gram model; `l1` is alpha and `variance` sigma^2 of its prior."""

    def __init__(
        self,
        *,
        order: int = 5,
        contexts: Contexts = "within-sentences",
        l1: float = 0.5,
        variance: float = 6.0,
        max_iterations: int = 100,
    ) -> None:
        if not 1 <= order <= 7:
            raise BenchError(f"order {order} of a maximum-entropy model: choose 1 to 7")
        if l1 < 0 or variance <= 0 or max_iterations < 1:
            raise BenchError("maxent needs l1 >= 0, variance > 0 and max_iterations >= 1")
        self.order = order
        self.contexts = contexts
        self.l1 = l1
        self.variance = variance
        self.max_iterations = max_iterations
        self._fitted: tuple[Exponential, Floats] | None = None

    def fit(
        self,
        tokens: Ints,
        *,
        valid: Ints,
        vocabulary_size: int,
        end_of_sentence: int | None,
        report: Report | None = None,
    ) -> None:
        trie = Trie.count(
            check_tokens(tokens, vocabulary_size),
            order=self.order,
            vocabulary_size=vocabulary_size,
            end_of_sentence=end_of_sentence,
            contexts=self.contexts,
        )
        model = Exponential(trie)
        best, best_perplexity = self._start(model), np.inf
        for step, theta in enumerate(self._climb(model, best), start=1):
            if step % _CHECK_EVERY and step < self.max_iterations:
                continue
            now = perplexity(model.log_probs(theta, valid))
            if report is not None:
                report(f"maxent: step {step}, valid {now:.2f}")
            converged = now > best_perplexity * (1 - _SMALLEST_GAIN)
            if now < best_perplexity:
                best, best_perplexity = theta, now
            if converged or step >= self.max_iterations:
                break
        self._fitted = model, best

    def log_probs(self, tokens: Ints) -> Floats:
        model, theta = self._ready()
        return model.log_probs(theta, check_tokens(tokens, model.trie.vocabulary_size))

    def distribution(self, history: Ints | Sequence[int]) -> Floats:
        """p(w | history) of every word, [V]."""
        model, theta = self._ready()
        scores, norms = model.tables(theta)
        ids = model.trie.contexts_of(np.asarray(history, dtype=np.int64))
        score_V = scores[0].copy()
        for k, context in enumerate(ids[1:], start=1):
            after = model.trie.orders[k].successors(context, model.trie.vocabulary_size)
            score_V[model.trie.orders[k].word[after]] = scores[k][after]
        p_V: Floats = np.exp(score_V) / norms[len(ids) - 1][ids[-1]]
        return p_V

    @property
    def num_parameters(self) -> int:
        """Weights that are not zero."""
        return int(np.count_nonzero(self._ready()[1]))

    def _climb(self, model: Exponential, start: Floats) -> Iterator[Floats]:
        """Points of falling penalised loss."""

        def loss(theta: Floats) -> tuple[float, Floats]:
            value, gradient = model.likelihood(theta)
            away = theta - start
            penalty = float(away @ away) / (2 * self.variance)
            return penalty - value, away / self.variance - gradient

        l1 = np.full(len(start), self.l1)
        l1[: model.trie.vocabulary_size] = 0.0
        # A count's Poisson variance, halved as p(1 - p) is below p, and kept off zero.
        curvature = 0.5 * (1 + model.counts) + 1 / self.variance
        for _, theta in minimise(loss, start, l1=l1, curvature=curvature):
            yield theta

    def _start(self, model: Exponential) -> Floats:
        """Log relative frequencies of single words; all other weights zero."""
        theta = np.zeros(len(model.counts))
        count_V = model.trie.orders[0].count
        theta[: len(count_V)] = np.log((count_V + 0.5) / count_V.sum())
        return theta

    def _ready(self) -> tuple[Exponential, Floats]:
        if self._fitted is None:
            raise BenchError("this maximum-entropy model has not been fitted: call fit() first")
        return self._fitted
