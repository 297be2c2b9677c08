"""The nearest images: what comparing each with each finds, whatever the blocks and the rounding."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from few_images import images
from numpy.typing import NDArray
from torch import Tensor

from bench.captioning.baselines import nearest as approximate
from bench.captioning.baselines import neighbours as search
from bench.captioning.baselines.neighbours import Distance, nearest
from bench.captioning.nearest_contestants import plain_nearest
from bench.core.errors import BenchError

DISTANCES = get_args(Distance)
RANDOM = np.random.default_rng(5)
CLOUDS: dict[str, NDArray[np.floating]] = {
    "apart": RANDOM.standard_normal((60, 7)).astype(np.float32),
    "in halves": np.abs(RANDOM.standard_normal((60, 7))).astype(np.float16),
    "often equal": RANDOM.integers(0, 2, (60, 3)).astype(np.float32),
    "nearly equal": (1000 + 0.1 * RANDOM.standard_normal((60, 7))).astype(np.float32),
    "some zero": np.repeat(RANDOM.integers(0, 2, (60, 1)), 4, 1).astype(np.float32),
    "all the same": np.ones((60, 4), np.float32),
}


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("k", [1, 5, 48, 50])
@pytest.mark.parametrize("block_bytes", [100, search.BLOCK_BYTES])
def test_search_finds_what_the_plain_loop_finds(
    cloud: str, distance: Distance, k: int, block_bytes: int
) -> None:
    rows = CLOUDS[cloud]
    found = nearest(
        images(rows, end=50), images(rows, first=50), k, distance=distance, block_bytes=block_bytes
    )
    stored = list(rows[:50].astype(np.float32))
    expected = [plain_nearest(stored, row, k, distance=distance) for row in rows[50:]]
    assert found.tolist() == expected


def test_neighbours_by_hand() -> None:
    rows = np.array([[1, 0], [0, 1], [3, 3], [-1, 0], [1, 0], [4, 0.5]], np.float32)
    stored, query = images(rows, end=5), images(rows, first=5)
    assert nearest(stored, query, 5).tolist() == [[0, 4, 2, 1, 3]]
    assert nearest(stored, query, 5, distance="euclidean").tolist() == [[2, 0, 4, 1, 3]]


def test_a_grid_is_compared_by_the_mean_of_its_regions() -> None:
    grid = RANDOM.standard_normal((30, 4, 6)).astype(np.float32)
    mean = grid.mean(1, dtype=np.float32)
    found = nearest(images(grid, end=20), images(grid, first=20), 5)
    assert found.tolist() == nearest(images(mean, end=20), images(mean, first=20), 5).tolist()


@pytest.mark.parametrize("k", [0, 21])
def test_more_neighbours_than_images_are_refused(k: int) -> None:
    stored = images(CLOUDS["apart"], end=20)
    with pytest.raises(BenchError, match=f"{k} neighbours of 20 images: ask for 1 to 20"):
        nearest(stored, stored, k)


@pytest.mark.parametrize("num_features", [1, 100])
def test_blocks_keep_to_the_memory_that_is_given(
    num_features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, merged, rows_of = [], search._merged, search.Images.rows

    def merging(best: Tensor, place: Tensor, score: Tensor, first: int, num: int) -> Any:
        sizes.append(score.numel())
        return merged(best, place, score, first, num)

    def reading(self: search.Images, places: Any) -> Any:
        found = rows_of(self, places)
        sizes.append(found.size)
        return found

    monkeypatch.setattr(search, "_merged", merging)
    monkeypatch.setattr(search.Images, "rows", reading)
    rows = RANDOM.standard_normal((300, num_features)).astype(np.float32)
    nearest(images(rows, end=200), images(rows, first=200), 3, block_bytes=4 * 2500)
    assert len(sizes) > 10
    assert max(sizes) <= 2500


def test_candidates_are_ordered_by_their_exact_distance() -> None:
    rows = CLOUDS["often equal"]
    stored, queries = images(rows, end=50), images(rows, first=50)
    asked = []

    def all_backwards(query_BD: NDArray[np.float32], num: int) -> NDArray[np.int64]:
        asked.append(num)
        return np.tile(np.arange(49, -1, -1), (len(query_BD), 1))

    found = nearest(stored, queries, 6, candidates=all_backwards)
    assert found.tolist() == nearest(stored, queries, 6).tolist()
    assert asked == [6 + search.NUM_SPARE]


def test_faiss_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(BenchError, match="faiss is not installed; pip install faiss-cpu"):
        approximate.approximate(images(CLOUDS["apart"]), "cosine")
