"""Similarity of captions, each with each, and the exact search of the nearest training images.

    cider      cosines of n-grams weighted by rarity, mean over n = 1 to 4 (Vedantam et al., 2015)
    bleu       BLEU-4 of one with the other as reference, orders above 1 with one match and one
               n-gram added (Lin and Och, 2004)
    overlap    METEOR's harmonic mean of precision and recall of words, recall nine times as heavy,
               less its penalty for chunks (Banerjee and Lavie, 2005): no stems, no synonyms, and
               the chunks are the matched words less the matched bigrams

Each is made of products of sparse rows: an n-gram that one caption has c times and another d times,
in common min(c, d) times, is c and d ones of which min(c, d) meet.

    cosine       d(x, y) = 1 - x.y / (|x| |y|), 1 where either is zero
    euclidean    d(x, y) = |x - y|

Blocks of matrix products in float32 that fit into memory find a few more candidates than asked for;
float64 orders these by distance, ties by place. An image whose candidates float32 may have missed,
by the bound on the rounding of a product of D terms, is compared with all rows in float64. So the
result is that of comparing each with each and sorting.

Shapes: C captions, E entries of their rows, P captions of a pool, W columns that two of them share;
N stored rows, Q queries, B of them at a time, D features, k neighbours, C candidates.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from bench.captioning.data.store import FeatureStore
from bench.captioning.metrics.cider import inverse_frequency, norms
from bench.captioning.metrics.ngrams import MAX_ORDER, Ints, NGramCounts, NGramTable
from bench.core.errors import BenchError

Likeness = Literal["cider", "bleu", "overlap"]
Distance = Literal["cosine", "euclidean"]
Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Float = type[np.float32] | type[np.float64]
RECALL_WEIGHT, CHUNK_PENALTY = 9, 0.5
BLOCK_BYTES = 64 * 2**20
"""Bytes of a block of rows, of queries, or of a product of both."""
NUM_SPARE = 16
"""Candidates beyond those asked for, so that rounding seldom decides."""
_REFINED_BYTES = 2 * 2**20
"""Bytes of the candidates that float64 orders at a time; they should stay in the cache."""
_ROUNDING = 2.0**-24


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseRows:
    """Weighted columns of each caption c, the entries from first[c] to first[c + 1]."""

    first: Ints
    column: Ints
    weight: Array

    @classmethod
    def of(cls, row_E: Ints, column_E: Ints, weight_E: Array, num_rows: int) -> SparseRows:
        """Rows of entries that are sorted by row."""
        first = np.searchsorted(row_E, np.arange(num_rows + 1))
        return cls(first=first, column=column_E, weight=weight_E)

    def products(self, pool_P: Ints) -> Array:
        """Inner products of the rows of a pool [P, P]; the diagonal is meaningless."""
        length_P = self.first[pool_P + 1] - self.first[pool_P]
        before_P = np.cumsum(length_P) - length_P
        entry_E = np.repeat(self.first[pool_P] - before_P, length_P) + np.arange(length_P.sum())
        _, column_E, rows_W = np.unique(
            self.column[entry_E], return_inverse=True, return_counts=True
        )
        shared_E = rows_W[column_E] > 1  # other columns add nothing
        column_E = (np.cumsum(rows_W > 1) - 1)[column_E[shared_E]]
        row_E = np.repeat(np.arange(len(pool_P)), length_P)[shared_E]
        weight_E = self.weight[entry_E[shared_E]]
        if not len(row_E):
            return np.zeros((len(pool_P), len(pool_P)), self.weight.dtype)
        dense_WP = np.zeros((int(column_E.max()) + 1, len(pool_P)), weight_E.dtype)
        dense_WP[column_E, row_E] = weight_E
        found = embedding_bag(
            torch.from_numpy(column_E),
            torch.from_numpy(dense_WP),
            torch.from_numpy(np.searchsorted(row_E, np.arange(len(pool_P)))),
            mode="sum",
            per_sample_weights=torch.from_numpy(weight_E),
        )
        return found.numpy()


class Similarity(ABC):
    """Similarity of C captions, prepared once; `image_C` is the image of each."""

    @abstractmethod
    def matrix(self, pool_P: Ints) -> Array:
        """s[i, j] of the captions i and j of a pool [P, P]; the diagonal is meaningless."""


class CiderSimilarity(Similarity):
    """CIDEr, symmetric; the captions of all images make the frequencies."""

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

    def matrix(self, pool_P: Ints) -> Array:
        return self._rows.products(pool_P)


class _Matching(Similarity):
    """Similarity by matching n-grams up to an order."""

    max_order: ClassVar[int]

    def __init__(
        self, captions: Sequence[Sequence[str]], image_C: Ints, *, dtype: Float = np.float32
    ) -> None:
        del image_C  # whatever images they are of
        self._matches = _matching(_counted(captions), self.max_order, dtype)
        self._length_C = np.array([len(caption) for caption in captions], dtype)


class BleuSimilarity(_Matching):
    """BLEU of caption i with caption j as its only reference."""

    max_order = MAX_ORDER

    def matrix(self, pool_P: Ints) -> Array:
        length_P = self._length_C[pool_P]
        product_PP = np.ones((len(pool_P), len(pool_P)), length_P.dtype)
        for order, rows in enumerate(self._matches):
            added = 1 if order else 0
            total_P = np.maximum(length_P - order, 0) + added
            product_PP *= (rows.products(pool_P) + added) / np.maximum(total_P, 1)[:, None]
        brevity_PP = np.minimum(1 - length_P / np.maximum(length_P, 1)[:, None], 0)
        return np.asarray(np.sqrt(np.sqrt(product_PP)) * np.exp(brevity_PP))


class OverlapSimilarity(_Matching):
    """A simple METEOR of caption i with caption j as its only reference."""

    max_order = 2

    def matrix(self, pool_P: Ints) -> Array:
        length_P = self._length_C[pool_P]
        matched_PP, bigrams_PP = (rows.products(pool_P) for rows in self._matches)
        chunks_PP = np.maximum(matched_PP - bigrams_PP, 1)
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
    """Rows for each order, whose products are the numbers of n-grams that two captions share."""
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Features of the images of a split; of a grid, the mean of its regions."""

    store: FeatureStore
    row: Ints
    """Row of each image [I]."""

    def __len__(self) -> int:
        return len(self.row)

    def rows(self, places: Ints | slice) -> NDArray[np.float32]:
        """Features [B, D] of images by their places in the split."""
        found = self.store.rows(self.row[places])
        return found.mean(1, dtype=np.float32) if found.ndim == 3 else found


def nearest(
    stored: Images,
    queries: Images,
    k: int,
    *,
    distance: Distance = "cosine",
    candidates: Callable[[NDArray[np.float32], int], Ints] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Ints:
    """The `k` nearest stored images of each query [Q, k], nearest first, ties by place.

    `candidates` finds places [B, C] for queries [B, D] instead of the search of all rows. Raises
    BenchError where fewer than `k` are stored.
    """
    if not 1 <= k <= len(stored):
        raise BenchError(
            f"{k:,} neighbours of {len(stored):,} images: ask for 1 to {len(stored):,}"
        )
    search = _Search(stored, distance, block_bytes)
    num, found = min(k + NUM_SPARE, len(stored)), []
    for first in range(0, len(queries), search.step):
        query_BD = queries.rows(slice(first, first + search.step))
        if candidates is None:
            found.append(search.exact(query_BD, k, num))
        else:
            found.append(search.ordered(query_BD, candidates(query_BD, num))[:, :k])
    return np.concatenate(found)


class _Search:
    """Exact search of stored images, `step` rows and queries at a time."""

    def __init__(self, stored: Images, distance: Distance, block_bytes: int) -> None:
        self.stored, self.distance, self.block_bytes = stored, distance, block_bytes
        num_floats = block_bytes // 4
        self.step = max(1, min(num_floats // stored.store.size, math.isqrt(num_floats)))

    def exact(self, query_BD: NDArray[np.float32], k: int, num: int) -> Ints:
        """Neighbours [B, k], from `num` candidates where these suffice."""
        score_BC, place_BC, error_B = self._candidates(query_BD, num)
        place_Bk = self.ordered(query_BD, place_BC)[:, :k]
        # Other rows score at most as much as the last candidate, give or take the rounding.
        left_out = score_BC[:, k - 1] - score_BC[:, -1] <= 2 * error_B
        for row in np.flatnonzero(left_out & (score_BC.shape[1] < len(self.stored))):
            query = query_BD[row : row + 1]
            away = [distances(query, rows, self.distance) for rows in self._blocks()]
            place_Bk[row] = np.argsort(np.concatenate(away), kind="stable")[:k]
        return place_Bk

    def ordered(self, query_BD: NDArray[np.float32], place_BC: Ints) -> Ints:
        """Each query's candidates by distance in float64, ties by place [B, C]."""
        ordered = np.empty_like(place_BC)
        row_bytes = 8 * place_BC.shape[1] * query_BD.shape[1]
        step = max(1, min(self.block_bytes, _REFINED_BYTES) // row_bytes)
        for first in range(0, len(query_BD), step):
            places = np.sort(place_BC[first : first + step], axis=1)
            rows = self.stored.rows(places.reshape(-1)).reshape(*places.shape, -1)
            away = distances(query_BD[first : first + step, None], rows, self.distance)
            order = np.argsort(away, axis=1, kind="stable")
            ordered[first : first + step] = np.take_along_axis(places, order, axis=1)
        return ordered

    def _blocks(self) -> Iterator[NDArray[np.float32]]:
        for first in range(0, len(self.stored), self.step):
            yield self.stored.rows(slice(first, first + self.step))

    def _candidates(
        self, query_BD: NDArray[np.float32], num: int
    ) -> tuple[NDArray[np.float32], Ints, NDArray[np.float32]]:
        """Scores and places of the best [B, C], best first, and a bound on the rounding [B].

        A score falls as the distance grows: the cosine, or 2 x.y - |y|^2.
        """
        query, is_cosine = torch.from_numpy(query_BD), self.distance == "cosine"
        if is_cosine:
            query = normalize(query, dim=1, eps=torch.finfo().tiny)
        best = query.new_empty(len(query), 0)
        place = torch.empty(len(query), 0, dtype=torch.int64)
        longest = 1.0
        for number, rows in enumerate(self._blocks()):
            row = torch.from_numpy(rows)
            if is_cosine:
                score = query @ normalize(row, dim=1, eps=torch.finfo().tiny).t()
            else:
                square = row.square().sum(1)
                longest = max(longest, float(square.max()))
                score = torch.addmm(square, query, row.t(), alpha=2, beta=-1)
            best, place = _merged(best, place, score, number * self.step, num)
        error = 3 * (query.shape[1] + 4) * _ROUNDING * torch.ones(len(query))
        if not is_cosine:
            error = error * (longest + 2 * query.norm(dim=1) * longest**0.5)
        return best.numpy(), place.numpy(), error.numpy()


def _merged(
    best: Tensor, place: Tensor, score: Tensor, first: int, num: int
) -> tuple[Tensor, Tensor]:
    """The best `num` so far and of a block of scores that begins at row `first`."""
    block, column = score.topk(min(num, score.shape[1]), dim=1)
    both = torch.cat([best, block], dim=1)
    best, chosen = both.topk(min(num, both.shape[1]), dim=1)
    return best, torch.cat([place, column + first], dim=1).gather(1, chosen)


def distances(query: NDArray[np.float32], rows: NDArray[np.float32], distance: Distance) -> Floats:
    """Distances in float64 over the last axis; equal rows are equally far to the last bit."""
    x, y = query.astype(np.float64), rows.astype(np.float64)
    if distance == "euclidean":
        away = x - y
        return np.asarray(np.sqrt(_products(away, away)))
    lengths = np.sqrt(_products(x, x) * _products(y, y))
    return np.asarray(1 - _products(x, y) / np.where(lengths > 0, lengths, 1.0))


def _products(x: Floats, y: Floats) -> Floats:
    return np.asarray(np.einsum("...d,...d->...", x, y))
