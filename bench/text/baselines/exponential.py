"""Exact likelihood and gradient of an exponential n-gram model, without sums over the vocabulary.

Shapes: G distinct n-grams of one order, C their contexts, F features of all orders, N tokens.

Features nest: hw was seen only if h'w was, h' being h without its first word. With S(hw) the sum
of the weights of hw and of all its suffixes,

    S(hw) = theta(hw) + S(h'w)
    Z(h)  = Z(h') + sum_{seen hw} (exp S(hw) - exp S(h'w)),      Z() = sum_w exp theta(w).

With n(h) the training tokens that have no longer context than h, the expected count of a feature
sums p over the contexts that end with its own, again from one order to the next below:

    A(h)  = n(h) / Z(h) + sum_{x} A(xh)
    E(hw) = A(h) exp S(hw) + sum_{x} (E(xhw) - A(xh) exp S(hw)).

Both passes are linear in F.
"""

from __future__ import annotations

import numpy as np

from bench.text.baselines.baseline import Floats, Ints
from bench.text.baselines.counts import Trie, sum_by


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
