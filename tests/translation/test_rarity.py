"""Words, their frequencies and ranks, as the papers' figures order sentences by."""

from __future__ import annotations

import pytest

from bench.translation.metrics import WordFrequencies, words_13a

TRAIN = ["The dog sees the cat.", "A dog!", "the cat sleeps."]
# the 3, dog 2, cat 2, . 2, then sees, a, !, sleeps once each, as they come


@pytest.fixture(scope="module")
def frequencies() -> WordFrequencies:
    return WordFrequencies.count(TRAIN)


def test_words_are_cut_as_mteval_does_and_in_lower_case() -> None:
    assert words_13a("It's 3,5 €: The END.\n") == ["it's", "3,5", "€", ":", "the", "end", "."]


@pytest.mark.parametrize(
    ("text", "mean_rank", "fewest"),
    [
        ("The the", 1.0, 3),
        ("the dog", 1.5, 2),
        ("dog cat .", (2 + 3 + 4) / 3, 2),
        ("the dog sleeps", (1 + 2 + 8) / 3, 1),
        ("the zebra", (1 + 9) / 2, 0),  # eight words were seen
        ("", 0.0, 0),
    ],
)
def test_rarity(frequencies: WordFrequencies, text: str, mean_rank: float, fewest: int) -> None:
    assert frequencies.mean_rank(text) == pytest.approx(mean_rank)
    assert frequencies.fewest(text) == fewest


def test_the_order_of_equally_frequent_words_is_theirs(frequencies: WordFrequencies) -> None:
    assert list(frequencies.ranks)[:4] == ["the", "dog", "cat", "."]
