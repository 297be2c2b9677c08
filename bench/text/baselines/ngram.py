"""N-gram language models: Kneser-Ney, modified Kneser-Ney and Katz.

Shapes: N tokens, V vocabulary.

What a context is, is a convention that moves perplexity by several points:

- within-sentences: each line begins with a start symbol that contexts may reach and not pass, as
  in SRILM and KenLM. The end of the line before stands for it; it is predicted only as an end.
- across-sentences: the text is one stream and the end of a sentence an ordinary word.

A text without ends of sentences is one stream under both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.core.errors import BenchError
from bench.text.baselines.base import Floats, Ints, TextBaseline, check_tokens
from bench.text.baselines.counts import Contexts, Grams, Trie, sum_by
from bench.training.baseline import Report

# Smoothing: from the counts of n-grams to probabilities in back-off form.
#
# Shapes: V vocabulary, G distinct n-grams of one order, C their contexts (n-grams one order lower).
#
# Every model here has the form of Katz (1987), h' being the context h without its first word:
#
#     p(w | h) = P(hw)              where hw was seen
#              = B(h) p(w | h')     where it was not; B(h) = 1 for a context never seen.
#
# Interpolated Kneser-Ney (Kneser & Ney 1995, in the form of Chen & Goodman 1999, section 3), orders
# 1 to n, writing a(hw) for the raw count at order n and for the number of distinct words that
# precede hw below it; an n-gram that nothing can precede, as one that begins with the start of a
# sentence, keeps its raw count:
#
#     P(hw) = (a(hw) - D(a(hw))) / A(h) + B(h) P(h'w),     A(h) = sum_w a(hw)
#     B(h)  = sum_w D(a(hw)) / A(h),                       order 0 is uniform: 1 / V.
#
# Discounts come in closed form from n_r, the number of n-grams of that order with a = r:
#
#     kneser-ney           D = n_1 / (n_1 + 2 n_2)                           (Ney et al. 1994)
#     modified-kneser-ney  D(r) = r - (r+1) Y n_{r+1} / n_r for r = 1, 2, 3 and beyond,
#                          with Y = n_1 / (n_1 + 2 n_2)                      (Chen & Goodman 1999)
#
# Where these are undefined or outside (0, r], as on texts of a few words or characters, D is 1/2,
# or 1/2, 1, 3/2, and the report says so.


@dataclass(frozen=True, kw_only=True)
class BackOff:
    """Tables of a back-off model: per order P of the n-grams and B of the same n-grams as contexts.

    `backoff[0]` is B of the empty context, [1]; `backoff[k]` has one entry per n-gram of order k.
    """

    probability: tuple[Floats, ...]
    backoff: tuple[Floats, ...]


def kneser_ney(trie: Trie, *, num_discounts: int, report: Report | None = None) -> BackOff:
    """Interpolated Kneser-Ney with one discount or three per order."""
    V = trie.vocabulary_size
    lower = np.full(1, 1.0 / V)
    probabilities, backoffs = [], []
    for k, grams in enumerate(trie.orders, start=1):
        adjusted_G = adjusted_counts(trie, k)
        discounts = estimate_discounts(adjusted_G, num_discounts=num_discounts)
        if discounts is None:
            discounts = (0.5, 1.0, 1.5)[:num_discounts]
            if report is not None:
                report(f"order {k}: too few distinct counts to estimate; discounts {discounts}")
        discount_G = np.array((0.0, *discounts))[np.minimum(adjusted_G, num_discounts)]
        num_contexts = len(lower)
        total_C = sum_by(grams.context, adjusted_G, num_contexts)
        freed_C = sum_by(grams.context, discount_G, num_contexts)
        seen_C = total_C > 0
        backoff_C = np.divide(freed_C, total_C, out=np.ones(num_contexts), where=seen_C)
        own_G = (adjusted_G - discount_G) / total_C[grams.context]
        lower = own_G + backoff_C[grams.context] * lower[grams.suffix]
        probabilities.append(lower)
        backoffs.append(backoff_C)
    return BackOff(probability=tuple(probabilities), backoff=tuple(backoffs))


def adjusted_counts(trie: Trie, k: int) -> Ints:
    """a(hw) of every n-gram of order k: raw at the highest order, distinct left words below."""
    raw_G = trie.orders[k - 1].count
    if k == len(trie.orders):
        return raw_G
    left_G = np.bincount(trie.orders[k].suffix, minlength=len(raw_G))
    return np.where(left_G > 0, left_G, raw_G)


def estimate_discounts(count_G: Ints, *, num_discounts: int) -> tuple[float, ...] | None:
    """D(1) .. D(num_discounts) in closed form; None where the counts do not determine them."""
    n = np.bincount(np.minimum(count_G, 5), minlength=6)
    if n[1] == 0 or n[2] == 0:
        return None
    y = n[1] / (n[1] + 2 * n[2])
    if num_discounts == 1:
        return (float(y),)
    if n[3] == 0:
        return None
    discounts = tuple(float(r - (r + 1) * y * n[r + 1] / n[r]) for r in (1, 2, 3))
    if any(not 0 < d <= r for r, d in enumerate(discounts, start=1)):
        return None
    return discounts


def interpolate(
    trie: Trie, tables: BackOff, tokens: Ints, lower_N: Floats, *, orders: range
) -> Floats:
    """p of each token after these orders, on top of `lower_N`, its probability one order below.

    P(hw) - B(h) P(h'w) is what an n-gram adds of its own, whatever lies below.
    """
    p_N = lower_N
    for k, (context_N, gram_N) in enumerate(trie.trace(tokens), start=1):
        if k not in orders:
            continue
        grams, backoff = trie.orders[k - 1], tables.backoff[k - 1]
        below = tables.probability[k - 2] if k > 1 else np.full(1, 1.0 / trie.vocabulary_size)
        own = tables.probability[k - 1] - backoff[grams.context] * below[grams.suffix]
        p_N = np.where(context_N >= 0, backoff[context_N], 1.0) * p_N
        p_N = p_N + np.where(gram_N >= 0, own[gram_N], 0.0)
    return p_N


# Good-Turing discounts and Katz back-off.
#
# Shapes: G distinct n-grams of one order, C their contexts (n-grams one order lower).
#
# Katz (1987), equations 12 to 16: with c the raw counts, n_r the number of n-grams of an order that
# occur r times, and K = 7, an n-gram seen r <= K times counts as d_r r times:
#
#     r*  = (r + 1) n_{r+1} / n_r
#     d_r = (r* / r - u) / (1 - u),     u = (K + 1) n_{K+1} / n_1
#     P(hw) = d_r c(hw) / c(h)
#     B(h)  = (1 - sum_seen P(hw)) / (1 - sum_seen p(w | h'))
#
# Order 1 spreads Turing's mass of the unseen evenly: P(w) = (1 - m) c(w) / N + m / V, with m =
# max(n_1, 1) / N. Cases that the paper leaves open: a d_r outside (0, 1] is 1, and the report says
# so; a context whose discounts free nothing is given one more count, which frees 1 / (c(h) + 1);
# one that has seen every word is scaled to sum to 1. N-grams of order 3 and above that occur less
# than `min_count` times count as unseen, and their mass goes to the lower order.


LARGEST_DISCOUNTED = 7
_NOTHING = 1e-9


def katz(trie: Trie, *, min_count: int = 1, report: Report | None = None) -> BackOff:
    """Katz back-off with Good-Turing discounts."""
    unigrams = trie.orders[0]
    num_tokens = unigrams.count.sum()
    unseen = max(int((unigrams.count == 1).sum()), 1) / num_tokens
    probabilities = [(1 - unseen) * unigrams.count / num_tokens + unseen / trie.vocabulary_size]
    backoffs: list[Floats] = [np.ones(1)]
    for k, grams in enumerate(trie.orders[1:], start=2):
        ratio = discount_ratios(grams.count)
        if report is not None and ratio is None:
            report(f"order {k}: Good-Turing ratios undefined; counts are not discounted")
        if ratio is None:
            ratio = np.ones(LARGEST_DISCOUNTED + 2)
        if k >= 3:
            ratio[:min_count] = 0
        probability_G, backoff_C = _order(grams, ratio, probabilities[-1])
        probabilities.append(probability_G)
        backoffs.append(backoff_C)
    return BackOff(probability=tuple(probabilities), backoff=tuple(backoffs))


def discount_ratios(count_G: Ints) -> Floats | None:
    """d_0 .. d_{K+1} (the ends are 1); None where the counts do not determine them."""
    K = LARGEST_DISCOUNTED
    n = np.bincount(np.minimum(count_G, K + 2), minlength=K + 3).astype(np.float64)
    ratio = np.ones(K + 2)
    if not n[1 : K + 2].all():
        return None
    r = np.arange(1, K + 1)
    u = (K + 1) * n[K + 1] / n[1]
    ratio[1 : K + 1] = ((r + 1) * n[2 : K + 2] / (n[1 : K + 1] * r) - u) / (1 - u)
    return np.where((ratio > 0) & (ratio <= 1), ratio, 1.0)


def _order(grams: Grams, ratio_r: Floats, lower: Floats) -> tuple[Floats, Floats]:
    """P of one order's n-grams and B of their contexts, from p of the order below."""
    C = len(lower)
    context_G, lower_G = grams.context, lower[grams.suffix]
    ratio_G = ratio_r[np.minimum(grams.count, len(ratio_r) - 1)]
    kept_G = ratio_G > 0
    total_C = sum_by(context_G, grams.count, C)
    seen_C = total_C > 0
    freed_C = total_C - sum_by(context_G, ratio_G * grams.count, C)
    left_C = 1 - sum_by(context_G, kept_G * lower_G, C)
    total_C += seen_C & (freed_C < _NOTHING * total_C) & (left_C > _NOTHING)
    own_G = ratio_G * grams.count / total_C[context_G]
    sum_C = sum_by(context_G, own_G, C)
    full_C = left_C <= _NOTHING
    own_G /= np.where(full_C & (sum_C > 0), sum_C, 1.0)[context_G]
    backoff_C = np.where(full_C, 0.0, np.divide(1 - sum_C, left_C, out=np.ones(C), where=~full_C))
    backoff_C[~seen_C] = 1.0
    return np.where(kept_G, own_G, backoff_C[context_G] * lower_G), backoff_C


Smoothing = Literal["kneser-ney", "modified-kneser-ney", "katz"]
MAX_ORDER = 7


class NGram(TextBaseline):
    """An n-gram model of orders 1 to 7, estimated and scored by sorting and searching.

    Parameters
    ----------
    order
        Longest n-gram.
    smoothing
        Estimate of rare and unseen n-grams.
    contexts
        Contexts end at the beginning of a sentence, or go on across it.
    min_count
        katz: n-grams of order 3 and above seen less often count as unseen.
    """

    def __init__(
        self,
        *,
        order: int = 5,
        smoothing: Smoothing = "modified-kneser-ney",
        contexts: Contexts = "within-sentences",
        min_count: int = 1,
    ) -> None:
        if not 1 <= order <= MAX_ORDER:
            raise BenchError(f"order {order} of an n-gram model: choose 1 to {MAX_ORDER}")
        if min_count < 1 or (min_count > 1 and smoothing != "katz"):
            raise BenchError(f"min_count {min_count}: it is 1 or more, and 1 unless smoothing=katz")
        self.order = order
        self.smoothing = smoothing
        self.contexts = contexts
        self.min_count = min_count
        self._fitted: tuple[Trie, BackOff] | None = None

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
        if self.smoothing == "katz":
            tables = katz(trie, min_count=self.min_count, report=report)
        else:
            num_discounts = 1 if self.smoothing == "kneser-ney" else 3
            tables = kneser_ney(trie, num_discounts=num_discounts, report=report)
        self._fitted = trie, tables

    def log_probs(self, tokens: Ints) -> Floats:
        trie, tables = self.fitted
        tokens = check_tokens(tokens, trie.vocabulary_size)
        p_N = np.ones(len(tokens))
        orders = zip(trie.trace(tokens), tables.probability, tables.backoff, strict=True)
        for (context_N, gram_N), probability, backoff in orders:
            backed_N = np.where(context_N >= 0, backoff[context_N], 1.0) * p_N
            p_N = np.where(gram_N >= 0, probability[gram_N], backed_N)
        return np.log(p_N)

    def distribution(self, history: Ints | Sequence[int]) -> Floats:
        """p(w | history) of every word, [V]; nothing precedes `history` but an end of sentence."""
        trie, tables = self.fitted
        history = np.asarray(history, dtype=np.int64)
        p_V = tables.probability[0].copy()
        for k, context in enumerate(trie.contexts_of(history)[1:], start=1):
            grams = trie.orders[k]
            after = grams.successors(context, trie.vocabulary_size)
            p_V = tables.backoff[k][context] * p_V
            p_V[grams.word[after]] = tables.probability[k][after]
        return p_V

    @property
    def num_parameters(self) -> int:
        """Probabilities of all n-grams, and back-off weights of those below the highest order."""
        _, tables = self.fitted
        return sum(map(len, tables.probability)) + sum(map(len, tables.backoff[1:]))

    @property
    def fitted(self) -> tuple[Trie, BackOff]:
        """The counts and the tables; an error before `fit`."""
        if self._fitted is None:
            raise BenchError("this n-gram model has not been fitted: call fit() first")
        return self._fitted
