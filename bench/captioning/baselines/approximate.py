"""Neighbours by faiss where all are too many to compare: an index of inverted lists.

Rows are put into cells around centroids; a query looks into the nearest cells alone. The distances
of what it finds are exact, and some neighbours are missed. faiss is no requirement of `bench`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.captioning.baselines.search import BLOCK_BYTES, Distance, Images, Ints
from bench.core.errors import BenchError

SHARE_OF_CELLS = 8
"""A query looks into one cell of so many."""
_ROWS_A_CELL = 64
"""For the centroids; more teach k-means nothing."""


def approximate(stored: Images, distance: Distance) -> Callable[[NDArray[np.float32], int], Ints]:
    """What finds candidates [B, C] among the stored images for queries [B, D].

    Raises BenchError where faiss is not installed.
    """
    faiss = _faiss()
    num_cells = max(1, int(4 * len(stored) ** 0.5))
    num_cells = min(num_cells, max(1, len(stored) // 39))  # faiss wants 39 rows to place one
    kind = faiss.METRIC_INNER_PRODUCT if distance == "cosine" else faiss.METRIC_L2
    size = stored.store.size
    quantiser = faiss.IndexFlat(size, kind)
    index = faiss.IndexIVFFlat(quantiser, size, num_cells, kind)
    index.nprobe = max(1, num_cells // SHARE_OF_CELLS)
    sample = min(len(stored), _ROWS_A_CELL * num_cells)
    places = np.linspace(0, len(stored) - 1, sample).astype(np.int64)
    index.train(_prepared(stored.rows(places), distance))
    step = max(1, BLOCK_BYTES // (4 * size))
    for first in range(0, len(stored), step):
        index.add(_prepared(stored.rows(slice(first, first + step)), distance))

    def find(query_BD: NDArray[np.float32], num: int) -> Ints:
        query = _prepared(query_BD, distance)
        found: Ints = index.search(query, num)[1]
        short = np.flatnonzero((found < 0).any(1))
        if len(short):  # the cells held too few: look into all of them
            settings = faiss.SearchParametersIVF(nprobe=num_cells)
            found[short] = index.search(query[short], num, params=settings)[1]
        return found.astype(np.int64)

    return find


def _prepared(rows: NDArray[np.float32], distance: Distance) -> NDArray[np.float32]:
    if distance == "cosine":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.ascontiguousarray(rows / np.where(lengths > 0, lengths, 1), np.float32)
    return np.ascontiguousarray(rows)


def _faiss() -> Any:
    try:
        return importlib.import_module("faiss")
    except ImportError:
        raise BenchError(
            "model.index faiss: faiss is not installed; pip install faiss-cpu, or leave the index "
            "exact"
        ) from None
