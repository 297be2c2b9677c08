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

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bench.core.errors import BenchError
from bench.text.baselines.base import Floats, Ints, TextBaseline, check_tokens
from bench.text.baselines.counts import Contexts, Trie, sum_by
from bench.text.baselines.mix import perplexity
from bench.training.baseline import Report

# Exact likelihood and gradient of an exponential n-gram model, without sums over the vocabulary.
#
# Shapes: G distinct n-grams of one order, C their contexts, F features of all orders, N tokens.
#
# Features nest: hw was seen only if h'w was, h' being h without its first word. With S(hw) the sum
# of the weights of hw and of all its suffixes,
#
#     S(hw) = theta(hw) + S(h'w)
#     Z(h)  = Z(h') + sum_{seen hw} (exp S(hw) - exp S(h'w)),      Z() = sum_w exp theta(w).
#
# With n(h) the training tokens that have no longer context than h, the expected count of a feature
# sums p over the contexts that end with its own, again from one order to the next below:
#
#     A(h)  = n(h) / Z(h) + sum_{x} A(xh)
#     E(hw) = A(h) exp S(hw) + sum_{x} (E(xhw) - A(xh) exp S(hw)).
#
# Both passes are linear in F.


class Exponential:
    """Likelihood, gradient and scores of an exponential model on the n-grams of a trie."""

    def __init__(self, trie: Trie) -> None:
        self.trie = trie
        self.counts = np.concatenate([grams.count for grams in trie.orders]).astype(np.float64)
        self.ends = np.cumsum([len(grams.key) for grams in trie.orders])
        self._longest = self._longest_contexts()

    def tables(self, theta: Floats) -> tuple[list[Floats], list[Floats]]:
        """Per order S of the n-grams [G] and Z of their contexts [C]."""
        thetas = np.split(theta, self.ends[:-1])
        scores = [thetas[0]]
        norms = [np.array([np.exp(thetas[0]).sum()])]
        for k in range(1, len(thetas)):
            grams = self.trie.orders[k]
            base_G = scores[-1][grams.suffix]
            scores.append(thetas[k] + base_G)
            gain_G = np.exp(scores[-1]) - np.exp(base_G)
            gain_C = sum_by(grams.context, gain_G, len(scores[k - 1]))
            norms.append(norms[-1][self._suffix_of_contexts(k)] + gain_C)
        return scores, norms

    def likelihood(self, theta: Floats) -> tuple[float, Floats]:
        """Log-likelihood of the training text and its gradient: counts less expected counts."""
        scores, norms = self.tables(theta)
        value = float(self.counts @ theta)
        value -= sum(
            float(n_C @ np.log(z_C)) for n_C, z_C in zip(self._longest, norms, strict=True)
        )
        expected: list[Floats] = []
        # What longer contexts and longer n-grams add to those that they end with.
        shorter_C, longer_G = np.zeros(len(norms[-1])), np.zeros(len(scores[-1]))
        for k in range(len(scores) - 1, -1, -1):
            grams = self.trie.orders[k]
            share_C = self._longest[k] / norms[k] + shorter_C
            expected_G = np.exp(scores[k]) * share_C[grams.context] + longer_G
            expected.append(expected_G)
            if k > 0:
                base_G = np.exp(scores[k - 1][grams.suffix]) * share_C[grams.context]
                longer_G = sum_by(grams.suffix, expected_G - base_G, len(scores[k - 1]))
                shorter_C = sum_by(self._suffix_of_contexts(k), share_C, len(norms[k - 1]))
        return value, self.counts - np.concatenate(expected[::-1])

    def log_probs(self, theta: Floats, tokens: Ints) -> Floats:
        """Log p(w_t | history) of each token, [N]."""
        scores, norms = self.tables(theta)
        score_N, log_norm_N = np.zeros(len(tokens)), np.zeros(len(tokens))
        orders = zip(self.trie.trace(tokens), scores, norms, strict=True)
        for (context_N, gram_N), score, norm in orders:
            score_N = np.where(gram_N >= 0, score[gram_N], score_N)
            log_norm_N = np.where(context_N >= 0, np.log(norm)[context_N], log_norm_N)
        return score_N - log_norm_N

    def _suffix_of_contexts(self, k: int) -> Ints:
        return self.trie.orders[k - 1].suffix

    def _longest_contexts(self) -> list[Floats]:
        """Per order and context [C], the training tokens that have no longer context than it."""
        orders = self.trie.orders
        sizes = [1, *(len(grams.key) for grams in orders)]
        totals: list[Floats] = [
            sum_by(grams.context, grams.count, size)
            for grams, size in zip(orders, sizes, strict=False)
        ]
        for k in range(1, len(orders)):
            longer = sum_by(self._suffix_of_contexts(k), totals[k], sizes[k - 1])
            totals[k - 1] = totals[k - 1] - longer
        return totals


# Minimisation of a convex function plus an L1 penalty (OWL-QN, Andrew & Gao 2007).
#
# Limited-memory quasi-Newton steps on the pseudo-gradient, never across an orthant: a parameter
# that would change its sign stops at zero. Without a penalty it is L-BFGS.


_MEMORY = 6
_SMALLEST_STEP = 1e-6
_SUFFICIENT = 1e-4

Pair = tuple[Floats, Floats, float]


def minimise(
    smooth: Callable[[Floats], tuple[float, Floats]],
    start: Floats,
    *,
    l1: Floats,
    curvature: Floats,
) -> Iterator[tuple[float, Floats]]:
    """Yield (objective, point) after each step on smooth(x) + sum_i l1_i |x_i|.

    `smooth` gives value and gradient; `curvature`, all positive, estimates its second derivatives
    and scales the steps. Ends where no step lowers the objective.
    """
    x = start
    value, gradient = smooth(x)
    value += float(l1 @ np.abs(x))
    pairs: deque[Pair] = deque(maxlen=_MEMORY)
    while True:
        slope = pseudo_gradient(x, gradient, l1)
        direction = _direction(slope, pairs, curvature)
        direction[(direction * slope >= 0) & (l1 > 0)] = 0.0
        orthant = np.where(x != 0, np.sign(x), -np.sign(slope))
        step = 1.0
        while True:
            new = x + step * direction
            new[(new * orthant < 0) & (l1 > 0)] = 0.0
            new_value, new_gradient = smooth(new)
            new_value += float(l1 @ np.abs(new))
            if new_value <= value + _SUFFICIENT * float(slope @ (new - x)):
                break
            step /= 2
            if step < _SMALLEST_STEP:
                return
        moved, turned = new - x, new_gradient - gradient
        if moved @ turned > 0:
            pairs.append((moved, turned, 1.0 / float(moved @ turned)))
        if new_value >= value:
            return
        x, value, gradient = new, new_value, new_gradient
        yield value, x


def pseudo_gradient(x: Floats, gradient: Floats, l1: Floats) -> Floats:
    """The one-sided derivative of steepest descent, zero where none descends (equation 4)."""
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0.0)
    return np.where(x == 0, at_zero, gradient + l1 * np.sign(x))


def _direction(slope: Floats, pairs: deque[Pair], curvature: Floats) -> Floats:
    """-H slope by the two-loop recursion (Nocedal 1980), H_0 a multiple of 1 / curvature."""
    q = -slope
    shares = []
    for moved, turned, inverse in reversed(pairs):
        share = inverse * float(moved @ q)
        shares.append(share)
        q = q - share * turned
    if pairs:
        moved, turned, _ = pairs[-1]
        q = q * (float(moved @ turned) / float((turned / curvature) @ turned))
    q = q / curvature
    for (moved, turned, inverse), share in zip(pairs, reversed(shares), strict=True):
        q = q + moved * (share - inverse * float(turned @ q))
    return q


_CHECK_EVERY = 5
_SMALLEST_GAIN = 1e-3


class MaxEnt(TextBaseline):
    """A maximum-entropy n-gram model.

    Parameters
    ----------
    order
        Longest n-gram.
    contexts
        Contexts end at the beginning of a sentence, or go on across it.
    l1
        Weight of the L1 penalty.
    variance
        Variance of the Gaussian prior.
    max_iterations
        Iterations of the optimiser at the most.
    """

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
