"""Good-Turing discounts and Katz back-off.

Shapes: G distinct n-grams of one order, C their contexts (n-grams one order lower).

Katz (1987), equations 12 to 16: with c the raw counts, n_r the number of n-grams of an order that
occur r times, and K = 7, an n-gram seen r <= K times counts as d_r r times:

    r*  = (r + 1) n_{r+1} / n_r
    d_r = (r* / r - u) / (1 - u),     u = (K + 1) n_{K+1} / n_1
    P(hw) = d_r c(hw) / c(h)
    B(h)  = (1 - sum_seen P(hw)) / (1 - sum_seen p(w | h'))

Order 1 spreads Turing's mass of the unseen evenly: P(w) = (1 - m) c(w) / N + m / V, with
m = max(n_1, 1) / N. Cases that the paper leaves open: a d_r outside (0, 1] is 1, and the report
says so; a context whose discounts free nothing is given one more count, which frees 1 / (c(h) + 1);
one that has seen every word is scaled to sum to 1. N-grams of order 3 and above that occur less
than `min_count` times count as unseen, and their mass goes to the lower order.
"""

from __future__ import annotations

import numpy as np

from bench.text.baselines.baseline import Floats, Ints, Report
from bench.text.baselines.counts import Grams, Trie, sum_by
from bench.text.baselines.smoothing import BackOff

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
