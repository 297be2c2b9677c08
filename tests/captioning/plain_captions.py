"""Caption scores as their definitions read: a loop over images, n-grams in dictionaries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache

Tokens = Sequence[str]


def ngrams(tokens: Tokens, order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))


def bleu(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> list[float]:
    """BLEU-1 to BLEU-4 of all images together."""
    matches, totals, ours, theirs = [0] * 4, [0] * 4, 0, 0
    for hypothesis, own in zip(hypotheses, references, strict=True):
        ours += len(hypothesis)
        theirs += min((abs(len(r) - len(hypothesis)), len(r)) for r in own)[1]
        for order in range(1, 5):
            found = ngrams(hypothesis, order)
            totals[order - 1] += sum(found.values())
            for gram, times in found.items():
                matches[order - 1] += min(times, max(ngrams(r, order)[gram] for r in own))
    penalty = 1.0
    if (ours + 1e-15) / (theirs + 1e-9) < 1:
        penalty = math.exp(1 - (theirs + 1e-9) / (ours + 1e-15))
    product, values = 1.0, []
    for order in range(1, 5):
        product *= (matches[order - 1] + 1e-15) / (totals[order - 1] + 1e-9)
        values.append(penalty * product ** (1 / order))
    return values


def longest_common(first: Tokens, second: Tokens) -> int:
    @cache
    def of(i: int, j: int) -> int:
        if i == len(first) or j == len(second):
            return 0
        if first[i] == second[j]:
            return 1 + of(i + 1, j + 1)
        return max(of(i + 1, j), of(i, j + 1))

    return of(0, 0)


def rouge_l(hypothesis: Tokens, references: Sequence[Tokens]) -> float:
    """F of one image, beta 1.2."""
    common = [longest_common(hypothesis, reference) for reference in references]
    if not max(common):
        return 0.0
    precision = max(n / len(hypothesis) for n in common)
    recall = max(n / len(r) for n, r in zip(common, references, strict=True) if r)
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)


def cider(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> list[tuple[float, float]]:
    """CIDEr-D and plain CIDEr of each image."""
    frequency = Counter[tuple[str, ...]]()
    for own in references:
        frequency.update({gram for r in own for n in range(1, 5) for gram in ngrams(r, n)})

    def weights(tokens: Tokens, order: int) -> dict[tuple[str, ...], float]:
        rarity = {
            gram: math.log(len(references)) - math.log(max(1, frequency[gram]))
            for gram in ngrams(tokens, order)
        }
        return {gram: n * rarity[gram] for gram, n in ngrams(tokens, order).items()}

    def length(vector: dict[tuple[str, ...], float]) -> float:
        return math.sqrt(sum(weight**2 for weight in vector.values()))

    values = []
    for hypothesis, own in zip(hypotheses, references, strict=True):
        defended = plain = 0.0
        for reference in own:
            difference = max(0, len(hypothesis) - 1) - max(0, len(reference) - 1)
            gaussian = math.exp(-(difference**2) / 72)
            for order in range(1, 5):
                g, s = weights(hypothesis, order), weights(reference, order)
                scale = (length(g) * length(s)) or 1.0
                clipped = sum(min(g.get(k, 0.0), weight) * weight for k, weight in s.items())
                defended += gaussian * clipped / scale / 4
                plain += sum(g.get(k, 0.0) * weight for k, weight in s.items()) / scale / 4
        values.append((10 * defended / len(own), 10 * plain / len(own)))
    return values
