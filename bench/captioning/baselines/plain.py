"""Search and consensus as one writes them first: the definitions, pair by pair.

What the fast forms are held against, and what `bench speed` sets beside them.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.captioning.baselines.consensus import TIE
from bench.captioning.baselines.search import Distance
from bench.captioning.baselines.similarity import CHUNK_PENALTY, RECALL_WEIGHT, Likeness

Words = Sequence[str]
Alike = Callable[[Words, Words], float]
MAX_ORDER = 4


def plain_nearest(
    rows: Sequence[NDArray[np.float32]],
    query: NDArray[np.float32],
    k: int,
    *,
    distance: Distance = "cosine",
) -> list[int]:
    """The `k` nearest rows to a query, nearest first, ties by place."""
    away = []
    x = query.astype(np.float64)
    for row in rows:
        y = row.astype(np.float64)
        if distance == "euclidean":
            away.append(math.sqrt(((x - y) ** 2).sum()))
        else:
            lengths = math.sqrt((x**2).sum() * (y**2).sum())
            away.append(1 - (x * y).sum() / lengths if lengths > 0 else 1.0)
    return sorted(range(len(away)), key=away.__getitem__)[:k]


def plain_consensus(pool: Sequence[Words], m: int, alike: Alike) -> int:
    """Place in the pool of the caption that its `m` best fellows confirm best."""
    means = []
    for i, caption in enumerate(pool):
        others = [alike(caption, other) for j, other in enumerate(pool) if i != j]
        best = sorted(others, reverse=True)[:m]
        means.append(sum(best) / len(best) if best else 0.0)
    return next(i for i, mean in enumerate(means) if mean >= max(means) - TIE)


def plain_similarity(kind: Likeness, images: Sequence[Sequence[Words]]) -> Alike:
    """The likeness of a caption to another; `images` are the captions of each training image."""
    return {"cider": _plain_cider(images), "bleu": plain_bleu, "overlap": plain_overlap}[kind]


def _plain_cider(images: Sequence[Sequence[Words]]) -> Alike:
    images_with = Counter[tuple[str, ...]]()
    for captions in images:
        present = {g for words in captions for n in range(1, 5) for g in _grams(words, n)}
        images_with.update(present)

    @functools.cache
    def weighted(words: tuple[str, ...], order: int) -> tuple[dict[tuple[str, ...], float], float]:
        """n-gram -> weighted count, and the length of the vector of these."""
        found = {
            gram: count * (math.log(len(images)) - math.log(images_with[gram]))
            for gram, count in _grams(words, order).items()
        }
        return found, math.sqrt(sum(value**2 for value in found.values()))

    def alike(caption: Words, other: Words) -> float:
        total = 0.0
        for order in range(1, MAX_ORDER + 1):
            first, first_length = weighted(tuple(caption), order)
            second, second_length = weighted(tuple(other), order)
            product = sum(value * second.get(gram, 0.0) for gram, value in first.items())
            lengths = first_length * second_length
            total += product / lengths if lengths > 0 else 0.0
        return total / MAX_ORDER

    return alike


def plain_bleu(caption: Words, other: Words) -> float:
    """BLEU-4 of one with another as reference, as in `similarity`."""
    product = 1.0
    for order in range(1, MAX_ORDER + 1):
        added = int(order > 1)
        matches = (_grams(caption, order) & _grams(other, order)).total()
        total = max(len(caption) - order + 1, 0)
        product *= (matches + added) / max(total + added, 1)
    brevity = min(0.0, 1 - len(other) / max(len(caption), 1))
    return float(product ** (1 / MAX_ORDER)) * math.exp(brevity)


def plain_overlap(caption: Words, other: Words) -> float:
    """METEOR's mean and penalty without stems and synonyms, as in `similarity`."""
    matched = (_grams(caption, 1) & _grams(other, 1)).total()
    if matched == 0:
        return 0.0
    chunks = max(1, matched - (_grams(caption, 2) & _grams(other, 2)).total())
    precision, recall = matched / len(caption), matched / len(other)
    mean = (1 + RECALL_WEIGHT) * precision * recall / (recall + RECALL_WEIGHT * precision)
    return mean * (1 - CHUNK_PENALTY * (chunks / matched) ** 3)


def _grams(words: Words, order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))
