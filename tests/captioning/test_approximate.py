"""Neighbours by faiss: most of the true ones, ordered by their exact distance."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from few_images import images

from bench.captioning.baselines.nearest import approximate
from bench.captioning.baselines.neighbours import Distance, nearest

RANDOM = np.random.default_rng(2)
ROWS = RANDOM.standard_normal((12, 8))[RANDOM.integers(12, size=2020)]
ROWS = (ROWS + 0.1 * RANDOM.standard_normal((2020, 8))).astype(np.float32)
STORED, QUERIES = images(ROWS, end=2000), images(ROWS, first=2000)


@pytest.mark.parametrize("distance", get_args(Distance))
def test_most_neighbours_are_found_and_ordered(distance: Distance) -> None:
    true = nearest(STORED, QUERIES, 10, distance=distance)
    found = nearest(
        STORED, QUERIES, 10, distance=distance, candidates=approximate(STORED, distance)
    )
    agreeing = [len(np.intersect1d(*pair)) for pair in zip(found, true, strict=True)]
    assert np.mean(agreeing) > 9
    assert found[:, 0].tolist() == true[:, 0].tolist()


def test_where_cells_hold_too_few_all_are_looked_into() -> None:
    found = nearest(STORED, QUERIES, 1990, candidates=approximate(STORED, "cosine"))
    assert found.tolist() == nearest(STORED, QUERIES, 1990).tolist()
