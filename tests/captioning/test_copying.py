"""What captions have in common with training captions, against slow searches in the text."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plain_captions as plain
import pytest

from bench.captioning.data.words import caption_tokens
from bench.captioning.metrics.copying import TrainingCaptions, mean_copying, most_alike
from bench.captioning.metrics.ngrams import NGramTable
from bench.core.errors import BenchError

TRAINING = [list("abcde"), list("fgh"), list("abab"), list("cdef"), ["i"]]


def drawn(seed: int, number: int, letters: str) -> list[list[str]]:
    draw = random.Random(seed)
    return [draw.choices(letters, k=draw.randint(0, 8)) for _ in range(number)]


def slowly_longest(caption: Sequence[str], training: Sequence[Sequence[str]]) -> int:
    """Every n-gram of the caption, longest first, looked for in every training caption."""
    text = [f" {' '.join(own)} " for own in training]
    for order in range(len(caption), 0, -1):
        for start in range(len(caption) - order + 1):
            part = f" {' '.join(caption[start : start + order])} "
            if any(part in own for own in text):
                return order
    return 0


@pytest.mark.parametrize("seed", range(5))
def test_the_longest_copied_ngram_is_that_of_a_slow_search(seed: int) -> None:
    training, captions = drawn(seed, 30, "abcd"), drawn(seed + 100, 40, "abcdx")
    read = TrainingCaptions(training)
    assert read.longest(captions).tolist() == [slowly_longest(c, training) for c in captions]
    assert read.identical(captions).tolist() == [c in training for c in captions]


@pytest.mark.parametrize(
    ("caption", "longest"),
    [
        ("abcde", 5),
        ("abcdef", 5),
        ("bcdef", 4),
        ("hi", 1),  # no n-gram reaches from one training caption into the next
        ("hab", 2),
        ("xyz", 0),
        ("", 0),
    ],
)
def test_ngrams_end_with_their_captions(caption: str, longest: int) -> None:
    assert TrainingCaptions(TRAINING).longest([list(caption)]).tolist() == [longest]


def test_figures_of_a_small_case() -> None:
    training = TrainingCaptions([list("ab")] * 4 + [list("acd")])
    found = training.copying([list("ab"), list("ab"), list("axc")])
    assert training.vocabulary == {"a"}, "words that stand five times"
    assert found.identical_percent == pytest.approx(200 / 3)
    assert [found.num_captions, found.distinct_captions] == [3, 2]
    assert found.words == pytest.approx(7 / 3)
    assert (found.longest, found.longest_percent) == pytest.approx((5 / 3, 500 / 7))
    assert list(found.distinct) == [4, 3, 1, 0]
    assert found.vocabulary_percent == 100


def test_people_are_measured_in_sets_of_one_caption_an_image() -> None:
    training = TrainingCaptions(TRAINING)
    people = [[list("fgh"), list("xyz")], [list("abab"), list("fgh"), list("i")]]
    sets = [training.copying([own[i] for own in people]) for i in (0, 1)]
    found = training.copying_of_people(people)
    assert found == mean_copying(sets)
    assert [found.identical_percent, found.num_captions] == [75, 2]


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(BenchError, match="no training caption"):
        TrainingCaptions([])
    with pytest.raises(BenchError, match="without a caption"):
        TrainingCaptions(TRAINING).copying_of_people([[]])


def test_people_copy_little_on_flickr8k(bench_data: Path) -> None:
    """1.24 % of the test captions; 1.26 % was found by another way to cut words."""
    folder = bench_data / "flickr8k"
    captions: dict[str, list[Sequence[str]]] = {}
    for line in (folder / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        name, _, text = line.partition("\t")
        captions.setdefault(name.partition("#")[0], []).append(caption_tokens(text))
    train, test = (
        [captions[name] for name in (folder / f"Flickr_8k.{part}Images.txt").read_text().split()]
        for part in ("train", "test")
    )
    found = TrainingCaptions([c for own in train for c in own]).copying_of_people(test)
    assert found.identical_percent == pytest.approx(1.24)
    assert 4 < found.longest < 5 < found.words


def test_a_copy_is_most_like_itself_and_of_equals_the_first_counts() -> None:
    training = [*TRAINING, *TRAINING]
    assert most_alike(TRAINING, training).tolist() == [0, 1, 2, 3, 4]
    assert most_alike([], training).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_caption_has_the_highest_cosines(seed: int) -> None:
    training = [c for c in drawn(seed, 25, "abcdefg") if c]
    frequency = Counter(gram for c in training for n in (1, 2, 3, 4) for gram in plain.ngrams(c, n))

    def unit(caption: Sequence[str], order: int) -> dict[tuple[str, ...], float]:
        rarity = math.log(len(training))
        weights = {
            gram: times * (rarity - math.log(max(1, frequency[gram])))
            for gram, times in plain.ngrams(caption, order).items()
        }
        norm = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
        return {gram: weight / norm for gram, weight in weights.items()}

    def alike(first: Sequence[str], second: Sequence[str]) -> float:
        pairs = [(unit(first, n), unit(second, n)) for n in (1, 2, 3, 4)]
        return sum(weight * b.get(gram, 0.0) for a, b in pairs for gram, weight in a.items())

    captions = drawn(seed + 50, 20, "abcdefgx")
    for caption, place in zip(captions, most_alike(captions, training), strict=True):
        best = max(alike(caption, other) for other in training)
        assert alike(caption, training[place]) == pytest.approx(best)


def test_unknown_ngrams_are_told_apart_within_a_call() -> None:
    table = NGramTable([list("ab")])
    counts = table.counts(table.number([list("abxyxy"), list("xy")]))
    assert table.num_known == 3
    unknown = counts.gram >= table.num_known
    pairs = np.stack([counts.sentence, counts.order, counts.count], 1)[unknown].tolist()
    assert sorted(pairs)[:2] == [[0, 1, 2], [0, 1, 2]], "x and y, twice each"
    both = set(counts.gram[counts.sentence == 0]) & set(counts.gram[counts.sentence == 1])
    assert len(both) == 3, "x, y and xy"
