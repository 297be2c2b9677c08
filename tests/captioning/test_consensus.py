"""The consensus caption: similarities and choices equal plain loops over their definitions."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from few_images import random_captions

from bench.captioning.baselines import nearest as module
from bench.captioning.baselines.nearest import consensus, shared_consensus
from bench.captioning.baselines.neighbours import SIMILARITIES, Likeness, Similarity
from bench.captioning.metrics.ngrams import Ints
from bench.captioning.nearest_contestants import (
    plain_bleu,
    plain_consensus,
    plain_overlap,
    plain_similarity,
)

KINDS = get_args(Likeness)
MS = (0, 1, 3, 7, 100)


class Case:
    """Training images with captions, prepared."""

    def __init__(self, kind: Likeness, seed: int, *, dtype: type = np.float64) -> None:
        self.images = random_captions(np.random.default_rng(seed), 14)
        self.captions = [caption for own in self.images for caption in own]
        numbers = np.array([len(own) for own in self.images])
        self.first_I = np.append(0, np.cumsum(numbers))
        image_C = np.repeat(np.arange(len(self.images)), numbers)
        self.similarity: Similarity = SIMILARITIES[kind](self.captions, image_C, dtype=dtype)
        self.alike = plain_similarity(kind, self.images)

    def chosen(self, neighbours: list[int], m: int) -> int:
        """The caption of the plain loop."""
        places = [
            place
            for image in neighbours
            for place in range(self.first_I[image], self.first_I[image + 1])
        ]
        pool = [self.captions[place] for place in places]
        return int(places[plain_consensus(pool, m, self.alike)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_similarities_equal_the_plain_loop(kind: Likeness, seed: int) -> None:
    case = Case(kind, seed)
    pool = np.random.default_rng(seed).integers(len(case.captions), size=17)
    captions = [case.captions[place] for place in pool]
    expected = np.array([[case.alike(one, other) for other in captions] for one in captions])
    found = case.similarity.matrix(pool)
    assert found.dtype == np.float64
    for matrix in (found, expected):
        np.fill_diagonal(matrix, 0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_captions_without_a_common_word_are_not_alike(kind: Likeness) -> None:
    captions = [("a", "dog", "runs"), ("two", "cats"), ("it", "rains", "cats")]
    similarity = SIMILARITIES[kind](captions, np.arange(3))
    assert similarity.matrix(np.array([0, 1]))[0, 1] == 0
    assert similarity.matrix(np.array([1, 2]))[0, 1] > 0
    assert similarity.matrix(np.array([0])).shape == (1, 1)


def test_bleu_and_overlap_by_hand() -> None:
    caption, other = ["a", "dog", "runs", "fast"], ["a", "dog", "sits"]
    # orders: 2 of 4, then (1 + 1) of (3 + 1), (0 + 1) of (2 + 1), (0 + 1) of (1 + 1)
    assert plain_bleu(caption, other) == pytest.approx((2 / 4 * 2 / 4 * 1 / 3 * 1 / 2) ** 0.25)
    # the other way round it is shorter: exp(1 - 4 / 3)
    backwards = (2 / 3 * 2 / 3 * 1 / 2 * 1) ** 0.25 * np.exp(1 - 4 / 3)
    assert plain_bleu(other, caption) == pytest.approx(backwards)
    # P = 2/4, R = 2/3, two words in one chunk
    mean = 10 * (2 / 4) * (2 / 3) / (2 / 3 + 9 * 2 / 4)
    assert plain_overlap(caption, other) == pytest.approx(mean * (1 - 0.5 * (1 / 2) ** 3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(4))
def test_every_size_of_a_grid_equals_the_plain_loop(kind: Likeness, dtype: type, seed: int) -> None:
    case = Case(kind, seed, dtype=dtype)
    random = np.random.default_rng(seed)
    neighbours_Qk = np.stack([random.permutation(14)[:8] for _ in range(5)])
    ks = (1, 2, 5, 8)
    found_QKM = consensus(case.similarity, case.first_I, neighbours_Qk, ks=ks, ms=MS)
    for row, chosen_KM in zip(neighbours_Qk.tolist(), found_QKM, strict=True):
        for k, chosen_M in zip(ks, chosen_KM, strict=True):
            assert chosen_M.tolist() == [case.chosen(row[:k], m) for m in MS]


def test_the_caption_that_most_others_confirm_is_chosen() -> None:
    captions = ["a red cat sits", "a dog runs", "a dog runs fast", "the dog runs", "rain"]
    words = [tuple(caption.split()) for caption in captions]
    similarity = SIMILARITIES["bleu"](words, np.arange(5))
    found = consensus(
        similarity, np.arange(6), np.array([[0, 4, 2, 1, 3]]), ks=[1, 2, 5], ms=[0, 4]
    )
    assert found.tolist() == [[[0, 0], [0, 0], [0, 1]]]


class Counting:
    """Counts how often the consensus is worked out, and for how many sizes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[tuple[int, int]] = []
        monkeypatch.setattr(module, "consensus", self)
        monkeypatch.setattr(module, "_kept", {})

    def __call__(self, *arguments: object, ks: list[int], ms: list[int]) -> Ints:
        self.sizes.append((len(ks), len(ms)))
        chosen_QKM: Ints = np.add.outer(1000 * np.array(ks), np.array(ms))[None]
        return chosen_QKM


def test_a_second_size_settles_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    case = Case("cider", 0)

    def ask(k: int, m: int, *, key: str = "captions", neighbours: int = 200) -> list[int]:
        found = np.arange(neighbours)[None]
        chosen_Q = shared_consensus(lambda: case.similarity, case.first_I, found, k=k, m=m, key=key)
        return [int(place) for place in chosen_Q]

    assert ask(60, 125) == ask(60, 125) == [60125]
    assert counting.sizes == [(1, 1)]
    assert ask(90, 125) == [90125]
    grid = (len(module.SHARED_K), len(module.SHARED_M))
    assert counting.sizes == [(1, 1), grid]
    assert [ask(k, m) for k, m in ((10, 25), (200, 250), (1, 0))] == [[10025], [200250], [1000]]
    assert counting.sizes == [(1, 1), grid]
    assert ask(61, 7) == [61007]
    assert counting.sizes[-1] == (grid[0] + 1, grid[1] + 1)
    assert ask(60, 125, key="other captions") == ask(60, 125, neighbours=100) == [60125]
    assert counting.sizes[-2:] == [(1, 1), (1, 1)]


def test_products_get_their_threads_back() -> None:
    import torch

    before = torch.get_num_threads()
    case = Case("cider", 1)
    consensus(case.similarity, case.first_I, np.array([[1, 2]]), ks=[2], ms=[1])
    assert torch.get_num_threads() == before
