"""Corpora of a few images whose captions and features repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.captioning.baselines.neighbours import Images
from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.data.store import FeatureStore
from bench.captioning.data.words import CaptionVocabulary, Tokens, learn_vocabulary
from bench.data.rows import Rows

WORDS = ("a", "dog", "cat", "runs", "sits", "red")
SIZES = {"train": 12, "valid": 4, "test": 5}


def random_captions(
    random: np.random.Generator, num_images: int, *, fewest: int = 1, most: int = 3
) -> list[list[Tokens]]:
    """Captions of one to nine words, some of them equal."""

    def caption() -> Tokens:
        length = int(random.integers(1, 10))
        return tuple(WORDS[i] for i in random.integers(len(WORDS), size=length).tolist())

    numbers = random.integers(fewest, most + 1, size=num_images).tolist()
    return [[caption() for _ in range(number)] for number in numbers]


def make_split(
    names: Sequence[str],
    first_row: int,
    captions: Sequence[Sequence[Tokens]],
    vocabulary: CaptionVocabulary,
) -> CaptionSplit:
    """A split whose images have rows one behind the other."""
    return CaptionSplit(
        names=names,
        feature_row=np.arange(first_row, first_row + len(names)),
        captions=captions,
        rows=Rows.of(vocabulary.encode(tokens) for own in captions for tokens in own),
    )


def make_corpus(seed: int, *, fewest: int = 1, num_features: int = 3) -> CaptionCorpus:
    """Twelve training images; features are small whole numbers, so that distances are often equal.

    `fewest` captions at the least of an image.
    """
    random = np.random.default_rng(seed)
    captions = {
        split: random_captions(random, number, fewest=fewest) for split, number in SIZES.items()
    }
    vocabulary = learn_vocabulary([c for own in captions["train"] for c in own], 1)
    splits, names = {}, [f"{i}.jpg" for i in range(sum(SIZES.values()))]
    row = 0
    for split, number in SIZES.items():
        splits[split] = make_split(names[row : row + number], row, captions[split], vocabulary)
        row += number
    values = random.integers(0, 3, (row, num_features)).astype(np.float32)
    store = make_store(values, names)
    return CaptionCorpus(vocabulary=vocabulary, splits=splits, features=store, checksums={})


def images(rows: NDArray[np.floating], *, first: int = 0, end: int | None = None) -> Images:
    """Some rows of an array as the images of a split."""
    store = make_store(rows, [str(i) for i in range(len(rows))])
    return Images(store=store, row=np.arange(first, len(rows) if end is None else end))


def make_store(rows: NDArray[np.floating], names: Sequence[str]) -> FeatureStore:
    """Features that lie in no file."""
    return FeatureStore(name="small", array=rows, names=names, sha256="0", what="numbers")
