"""The nearest training images, exactly, in blocks that fit into memory.

    cosine       d(x, y) = 1 - x.y / (|x| |y|), 1 where either is zero
    euclidean    d(x, y) = |x - y|

Blocks of matrix products in float32 find a few more candidates than asked for; float64 orders
these by distance, ties by place. An image whose candidates float32 may have missed, by the bound
on the rounding of a product of D terms, is compared with all rows in float64. So what is found is
what comparing each with each and sorting finds.

Shapes: N stored rows, Q queries, D features, k neighbours, C candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.captioning.data.store import FeatureStore
from bench.core.errors import BenchError

Distance = Literal["cosine", "euclidean"]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
BLOCK_BYTES = 64 * 2**20
"""Of one block of rows, of queries, or of what is computed of a block of each."""
NUM_SPARE = 16
"""Candidates beyond those asked for, so that rounding seldom decides."""
_REFINED_BYTES = 2 * 2**20
"""Of the candidates that float64 orders at a time; they should stay in the cache."""
_ROUNDING = 2.0**-24


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """The rows of a store that belong to the images of a split; of a grid, the mean of its regions.

    `row` is that of each image [I].
    """

    store: FeatureStore
    row: Ints

    def __len__(self) -> int:
        return len(self.row)

    def rows(self, places: Ints | slice) -> NDArray[np.float32]:
        """Features in float32 [B, D], by places among these images."""
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

    `candidates` finds places [B, C] for queries [B, D] in place of the search of all rows; what it
    misses is missed. Raises BenchError where fewer than `k` are stored.
    """
    if not 1 <= k <= len(stored):
        raise BenchError(
            f"{k:,} neighbours of {len(stored):,} images: ask for 1 to {len(stored):,}"
        )
    step = max(1, min(block_bytes // (4 * stored.store.size), math.isqrt(block_bytes // 4)))
    found = []
    for first in range(0, len(queries), step):
        query_BD = queries.rows(slice(first, first + step))
        if candidates is None:
            found.append(_exact(stored, query_BD, k, distance, step, block_bytes))
        else:
            place_BC = candidates(query_BD, min(k + NUM_SPARE, len(stored)))
            found.append(_ordered(stored, query_BD, place_BC, distance, block_bytes)[:, :k])
    return np.concatenate(found)


def _exact(
    stored: Images,
    query_BD: NDArray[np.float32],
    k: int,
    distance: Distance,
    step: int,
    block_bytes: int,
) -> Ints:
    score_BC, place_BC, error_B = _candidates(
        stored, query_BD, min(k + NUM_SPARE, len(stored)), distance, step
    )
    place_Bk = _ordered(stored, query_BD, place_BC, distance, block_bytes)[:, :k]
    # What was left out scores at most as much as the last candidate, give or take the rounding.
    left_out = score_BC[:, k - 1] - score_BC[:, -1] <= 2 * error_B
    for row in np.flatnonzero(left_out & (score_BC.shape[1] < len(stored))):
        place_Bk[row] = _by_sorting(stored, query_BD[row], k, distance, step)
    return place_Bk


def _candidates(
    stored: Images, query_BD: NDArray[np.float32], num: int, distance: Distance, step: int
) -> tuple[NDArray[np.float32], Ints, NDArray[np.float32]]:
    """Scores and places of the best [B, C], best first, and a bound on the scores' rounding [B].

    A score falls as the distance grows: the cosine, or 2 x.y - |y|^2.
    """
    query = torch.from_numpy(query_BD)
    if distance == "cosine":
        query = torch.nn.functional.normalize(query, dim=1, eps=torch.finfo().tiny)
    best = query.new_empty(len(query), 0)
    place = torch.empty(len(query), 0, dtype=torch.int64)
    longest = 1.0
    for first in range(0, len(stored), step):
        row = torch.from_numpy(stored.rows(slice(first, first + step)))
        if distance == "cosine":
            row = torch.nn.functional.normalize(row, dim=1, eps=torch.finfo().tiny)
            score = query @ row.t()
        else:
            square = row.square().sum(1)
            longest = max(longest, float(square.max()))
            score = torch.addmm(square, query, row.t(), alpha=2, beta=-1)
        best, place = _merged(best, place, score, first, num)
    error = 3 * (query.shape[1] + 4) * _ROUNDING * torch.ones(len(query))
    if distance == "euclidean":
        error = error * (longest + 2 * query.norm(dim=1) * longest**0.5)
    return best.numpy(), place.numpy(), error.numpy()


def _merged(
    best: Tensor, place: Tensor, score: Tensor, first: int, num: int
) -> tuple[Tensor, Tensor]:
    """The best `num` of those so far and of a block of scores that begins at row `first`."""
    block, column = score.topk(min(num, score.shape[1]), dim=1)
    both = torch.cat([best, block], dim=1)
    best, chosen = both.topk(min(num, both.shape[1]), dim=1)
    return best, torch.cat([place, column + first], dim=1).gather(1, chosen)


def _ordered(
    stored: Images,
    query_BD: NDArray[np.float32],
    place_BC: Ints,
    distance: Distance,
    block_bytes: int,
) -> Ints:
    """Each query's candidates by distance in float64, ties by place [B, C]."""
    ordered = np.empty_like(place_BC)
    step = max(1, min(block_bytes, _REFINED_BYTES) // (8 * place_BC.shape[1] * query_BD.shape[1]))
    for first in range(0, len(query_BD), step):
        places = np.sort(place_BC[first : first + step], axis=1)
        rows = stored.rows(places.reshape(-1)).reshape(*places.shape, -1)
        away = distances(query_BD[first : first + step, None], rows, distance)
        order = np.argsort(away, axis=1, kind="stable")
        ordered[first : first + step] = np.take_along_axis(places, order, axis=1)
    return ordered


def _by_sorting(
    stored: Images, query_D: NDArray[np.float32], k: int, distance: Distance, step: int
) -> Ints:
    """The neighbours of one query by its distance to every row."""
    away = [
        distances(query_D[None], stored.rows(slice(first, first + step)), distance)
        for first in range(0, len(stored), step)
    ]
    return np.argsort(np.concatenate(away), kind="stable")[:k].astype(np.int64)


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
