"""How alike the captions of a pool are, each with each.

    cider      cosines of n-grams weighted by rarity, mean over n = 1 to 4 (Vedantam et al., 2015)
    bleu       BLEU-4 of one with the other as reference, orders above 1 with one match and one
               n-gram added (Lin and Och, 2004)
    overlap    METEOR's harmonic mean of precision and recall of words, recall nine times as heavy,
               less its penalty for chunks (Banerjee and Lavie, 2005): no stems, no synonyms, and
               the chunks are the matched words less the matched bigrams

Each is made of products of sparse rows: an n-gram that one caption has c times and another d
times, both have min(c, d) times, is c and d ones of which min(c, d) meet. Rows that do not share
a column with another are left out of the products.

Shapes: C captions, E entries of their rows, P captions of a pool, W columns that two of them share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from bench.captioning.metrics.cider import inverse_frequency, norms
from bench.captioning.metrics.ngrams import MAX_ORDER, Ints, NGramCounts, NGramTable

Likeness = Literal["cider", "bleu", "overlap"]
Floats: TypeAlias = NDArray[Any]
Float = type[np.float32] | type[np.float64]
RECALL_WEIGHT, CHUNK_PENALTY = 9, 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseRows:
    """A row of weighted columns for each caption.

    Row c has the entries from first[c] to first[c + 1].
    """

    first: Ints
    column: Ints
    weight: Floats

    @classmethod
    def of(cls, row_E: Ints, column_E: Ints, weight_E: Floats, num_rows: int) -> SparseRows:
        """The same of entries sorted by row."""
        first = np.searchsorted(row_E, np.arange(num_rows + 1))
        return cls(first=first, column=column_E, weight=weight_E)

    def products(self, pool_P: Ints) -> Floats:
        """Inner products of the rows of a pool [P, P]; the diagonal means nothing."""
        length_P = self.first[pool_P + 1] - self.first[pool_P]
        before_P = np.cumsum(length_P) - length_P
        entry_E = np.repeat(self.first[pool_P] - before_P, length_P) + np.arange(length_P.sum())
        _, column_E, rows_W = np.unique(
            self.column[entry_E], return_inverse=True, return_counts=True
        )
        shared_E = rows_W[column_E] > 1
        column_E = (np.cumsum(rows_W > 1) - 1)[column_E[shared_E]]
        row_E = np.repeat(np.arange(len(pool_P)), length_P)[shared_E]
        weight_E = self.weight[entry_E[shared_E]]
        if not len(row_E):
            return np.zeros((len(pool_P), len(pool_P)), self.weight.dtype)
        dense_WP = np.zeros((int(column_E.max()) + 1, len(pool_P)), weight_E.dtype)
        dense_WP[column_E, row_E] = weight_E
        found = torch.nn.functional.embedding_bag(
            torch.from_numpy(column_E),
            torch.from_numpy(dense_WP),
            torch.from_numpy(np.searchsorted(row_E, np.arange(len(pool_P)))),
            mode="sum",
            per_sample_weights=torch.from_numpy(weight_E),
        )
        return found.numpy()


class Similarity(ABC):
    """Of C captions, prepared once; `image_C` says which image each is of."""

    @abstractmethod
    def matrix(self, pool_P: Ints) -> Floats:
        """s[i, j]: how well caption i of the pool is confirmed by caption j [P, P].

        The diagonal means nothing.
        """


class CiderSimilarity(Similarity):
    """Symmetric; the frequencies are those of the images that the captions are of."""

    def __init__(
        self, captions: Sequence[Sequence[str]], image_C: Ints, *, dtype: Float = np.float32
    ) -> None:
        counts = _counted(captions)
        num_images = int(image_C.max()) + 1
        pair_E = np.sort(image_C[counts.sentence] * counts.num_known + counts.gram)
        first_E = np.diff(pair_E, prepend=-1) > 0
        images_with = np.bincount(pair_E[first_E] % counts.num_known, minlength=counts.num_known)
        inverse = inverse_frequency(num_images, images_with)
        norm_E = norms(counts, inverse, num_images)[counts.sentence, counts.order - 1]
        weight_E = counts.count * inverse[counts.gram] / np.where(norm_E > 0, norm_E, 1.0)
        scaled_E = (weight_E / np.sqrt(MAX_ORDER)).astype(dtype)
        kept_E = scaled_E > 0
        self._rows = SparseRows.of(
            counts.sentence[kept_E], counts.gram[kept_E], scaled_E[kept_E], len(captions)
        )

    def matrix(self, pool_P: Ints) -> Floats:
        return self._rows.products(pool_P)


class BleuSimilarity(Similarity):
    """BLEU of caption i with caption j as its only reference."""

    def __init__(
        self, captions: Sequence[Sequence[str]], image_C: Ints, *, dtype: Float = np.float32
    ) -> None:
        self._matches = _matching(_counted(captions), MAX_ORDER, dtype)
        self._length_C = np.array([len(caption) for caption in captions], dtype)

    def matrix(self, pool_P: Ints) -> Floats:
        length_P = self._length_C[pool_P]
        product_PP = np.ones((len(pool_P), len(pool_P)), length_P.dtype)
        for order, rows in enumerate(self._matches):
            added = 1 if order else 0
            total_P = np.maximum(length_P - order, 0) + added
            product_PP *= (rows.products(pool_P) + added) / np.maximum(total_P, 1)[:, None]
        brevity_PP = np.minimum(1 - length_P / np.maximum(length_P, 1)[:, None], 0)
        return np.asarray(np.sqrt(np.sqrt(product_PP)) * np.exp(brevity_PP))


class OverlapSimilarity(Similarity):
    """METEOR-like, of caption i with caption j as its only reference."""

    def __init__(
        self, captions: Sequence[Sequence[str]], image_C: Ints, *, dtype: Float = np.float32
    ) -> None:
        self._words, self._bigrams = _matching(_counted(captions), 2, dtype)
        self._length_C = np.array([len(caption) for caption in captions], dtype)

    def matrix(self, pool_P: Ints) -> Floats:
        length_P = self._length_C[pool_P]
        matched_PP = self._words.products(pool_P)
        chunks_PP = np.maximum(matched_PP - self._bigrams.products(pool_P), 1)
        # 10 P R / (R + 9 P) with P = m / l_i and R = m / l_j
        weighted_PP = np.add.outer(length_P, RECALL_WEIGHT * length_P)
        mean_PP = (1 + RECALL_WEIGHT) * matched_PP / np.maximum(weighted_PP, 1)
        share_PP = chunks_PP / np.maximum(matched_PP, 1)
        return np.asarray(mean_PP * (1 - CHUNK_PENALTY * share_PP**3))


SIMILARITIES: dict[
    Likeness, type[CiderSimilarity] | type[BleuSimilarity] | type[OverlapSimilarity]
] = {"cider": CiderSimilarity, "bleu": BleuSimilarity, "overlap": OverlapSimilarity}


def _counted(captions: Sequence[Sequence[str]]) -> NGramCounts:
    table = NGramTable(captions)
    return table.counts(table.number(captions))


def _matching(counts: NGramCounts, max_order: int, dtype: Float) -> list[SparseRows]:
    """For each order rows whose products are numbers of n-grams that two captions share."""
    found = []
    for order in range(1, max_order + 1):
        of_order = counts.order == order
        count_E = counts.count[of_order]
        sentence_E = np.repeat(counts.sentence[of_order], count_E)
        gram_E = np.repeat(counts.gram[of_order], count_E)
        time_E = np.arange(len(gram_E)) - np.repeat(np.cumsum(count_E) - count_E, count_E)
        column_E = gram_E + counts.num_known * time_E
        found.append(
            SparseRows.of(sentence_E, column_E, np.ones(len(gram_E), dtype), counts.num_sentences)
        )
    return found
