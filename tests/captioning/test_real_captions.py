"""Flickr8k itself: the facts of its files, and of the features that come with it."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.data.extraction import CLASSICAL
from bench.captioning.data.specification import CaptionsSpec
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.suite import Suite, shipped_folder
from bench.data.corpora import load_corpus
from bench.domains import load_attribute, load_domain

SUITE = Suite(folder=shipped_folder())


@pytest.fixture(scope="module")
def flickr8k(bench_data: Path) -> CaptionCorpus:
    found = load_corpus(SUITE.card("flickr8k"), DataConfig(path=str(bench_data / "flickr8k")))
    assert isinstance(found, CaptionCorpus)
    return found


@pytest.mark.parametrize(
    ("split", "num_images", "num_words"),
    [("train", 6000, 323_639), ("valid", 1000, 54_504), ("test", 1000, 54_208)],
)
def test_counts(flickr8k: CaptionCorpus, split: str, num_images: int, num_words: int) -> None:
    found = flickr8k.splits[split]
    assert (len(found), found.num_captions) == (num_images, 5 * num_images)
    assert int(found.rows.length_N.sum()) == num_words


def test_the_vocabulary_has_as_many_words_as_karpathys(flickr8k: CaptionCorpus) -> None:
    """With the end of a sentence: 2,538."""
    assert len(flickr8k.vocabulary) - 3 == 2537
    assert flickr8k.vocabulary.symbols[3:8] == ("a", "in", "the", "on", "is")
    assert int(flickr8k.vocabulary.counts.sum()) == 323_639 + 30_000


def test_the_captioned_image_that_does_not_exist(flickr8k: CaptionCorpus) -> None:
    (problem,) = flickr8k.problems
    assert (problem.kind, problem.image) == ("no image", "2258277193_586949ec62.jpg.1")
    assert flickr8k.skipped == ()


def test_how_often_people_say_what_stands_in_training(flickr8k: CaptionCorpus) -> None:
    train = set(chain(*flickr8k.splits["train"].captions))
    test = list(chain(*flickr8k.splits["test"].captions))
    assert sum(tokens in train for tokens in test) == 62  # of 5,000: 1.24 %


def test_the_given_features(flickr8k: CaptionCorpus) -> None:
    store = flickr8k.features
    assert (store.name, store.array.shape) == ("squeezenet", (8091, 512))
    first = flickr8k.splits["train"]
    assert first.names[0] == "2513260012_03d33305cf.jpg"
    assert store.names[int(first.feature_row[0])] == first.names[0]
    rows = store.rows(first.feature_row[:50])
    assert rows.dtype == np.float32
    assert len(np.unique(rows, axis=0)) == 50


def test_its_images_can_be_opened_and_described(
    flickr8k: CaptionCorpus, bench_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(bench_data))
    images = load_attribute(str(load_domain("captions").images))(SUITE.card("flickr8k").corpus)
    for name in flickr8k.splits["test"].names[:3]:
        picture = images(name)
        assert (picture.size, picture.mode) == ((128, 128), "RGB")
        pixels = np.asarray(picture, np.float32) / np.float32(255)
        for describe in CLASSICAL.values():
            assert float(np.linalg.norm(describe(pixels))) > 0


def test_images_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_images = load_attribute(str(load_domain("captions").images))
    spec = SUITE.card("flickr8k").corpus
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    with pytest.raises(BenchError, match=r"put flickr8k_128px_q85\.tar or .* into .*/flickr8k/"):
        open_images(spec)
    scenes = open_images(SUITE.card("synthetic-captions").corpus)
    assert scenes("test-00001").mode == "RGB"


def test_every_file_of_the_card_has_its_checksum() -> None:
    spec = SUITE.card("flickr8k").corpus
    assert isinstance(spec, CaptionsSpec)
    assert all(file.sha256 for file in spec.files.values())
    assert spec.counts == {"train": 6000, "valid": 1000, "test": 1000}
