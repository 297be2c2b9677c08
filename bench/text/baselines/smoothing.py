"""Smoothing: from the counts of n-grams to probabilities in back-off form.

Shapes: V vocabulary, G distinct n-grams of one order, C their contexts (n-grams one order lower).

Every model here has the form of Katz (1987), h' being the context h without its first word:

    p(w | h) = P(hw)              where hw was seen
             = B(h) p(w | h')     where it was not; B(h) = 1 for a context never seen.

Interpolated Kneser-Ney (Kneser & Ney 1995, in the form of Chen & Goodman 1999, section 3), orders
1 to n, writing a(hw) for the raw count at order n and for the number of distinct words that
precede hw below it; an n-gram that nothing can precede, as one that begins with the start of a
sentence, keeps its raw count:

    P(hw) = (a(hw) - D(a(hw))) / A(h) + B(h) P(h'w),     A(h) = sum_w a(hw)
    B(h)  = sum_w D(a(hw)) / A(h),                       order 0 is uniform: 1 / V.

Discounts come in closed form from n_r, the number of n-grams of that order with a = r:

    kneser-ney           D = n_1 / (n_1 + 2 n_2)                           (Ney et al. 1994)
    modified-kneser-ney  D(r) = r - (r+1) Y n_{r+1} / n_r for r = 1, 2, 3 and beyond,
                         with Y = n_1 / (n_1 + 2 n_2)                      (Chen & Goodman 1999)

Where these are undefined or outside (0, r], as on texts of a few words or characters, D is 1/2,
or 1/2, 1, 3/2, and the report says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.text.baselines.baseline import Floats, Ints, Report
from bench.text.baselines.counts import Trie, sum_by


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
