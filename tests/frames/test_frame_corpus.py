"""Sequences of frames: what is drawn, noise, bounds, checksums, files."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_frames import write_idx

from bench.core.errors import BenchError
from bench.data.files import FileSpec
from bench.frames.data.corpus import FrameCorpus, FrameSplit
from bench.frames.data.motion import read_idx, shapes
from bench.frames.data.prepared import prepare_frames
from bench.frames.data.specification import MovingDigitsSpec, SyntheticFramesSpec

SIZES: dict[str, Any] = {"num_train": 6, "num_valid": 3, "num_test": 4}


def synthetic(**options: Any) -> FrameCorpus:
    spec = SyntheticFramesSpec(**{"frame_size": 16, **SIZES, **options})
    return prepare_frames(spec, task="toy")


def digits(folder: Path, **options: Any) -> FrameCorpus:
    facts: dict[str, Any] = {"folder": "mnist", "licence": "any", "obtain": "somewhere"}
    files = {"images": FileSpec(path="images.gz")}
    given = {**facts, **SIZES, "files": files, "num_digits": 5, "frame_size": 40, **options}
    return prepare_frames(MovingDigitsSpec(**given), task="toy", twin="twin", path=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = np.random.default_rng(1).integers(0, 256, (9, 28, 28)).astype(np.uint8)
    write_idx(tmp_path / "images.gz", images)
    return tmp_path


def split_of(**options: Any) -> FrameSplit:
    """One sequence of two frames: two sprites that overlap in the first."""
    sprites = np.array([[[200, 100], [0, 255]], [[50, 150], [255, 0]]], np.uint8)
    corner = np.array([[[[0, 0], [1, 1]], [[0, 1], [2, 2]]]], np.int16)
    sprite = np.array([[0, 1]])
    return FrameSplit(sprites=sprites, frame_size=4, sprite=sprite, corner=corner, **options)


def test_the_brighter_pixel_shows() -> None:
    first, second = split_of().frames(np.array([0]))[0]
    assert first.tolist() == [[200, 100, 150, 0], [0, 255, 0, 0], [0] * 4, [0] * 4]
    assert second.tolist() == [[0] * 4, [0, 200, 100, 0], [0, 0, 255, 150], [0, 0, 255, 0]]


def test_a_shape_is_seven_pixels_wide_and_unlike_the_others() -> None:
    found = shapes()
    assert found.shape[1:] == (7, 7)
    assert set(found.ravel()) == {0, 255}
    assert len({shape.tobytes() for shape in found}) == len(found)


def test_splits_are_drawn_apart_and_always_alike() -> None:
    first, again, other = synthetic(), synthetic(), synthetic(seed=2)
    assert first.checksums == again.checksums
    assert set(first.checksums) == {"train frames", "valid frames", "test frames"}
    assert len(set(first.checksums.values())) == 3
    assert not set(first.checksums.values()) & set(other.checksums.values())
    for name, size in (("train", 6), ("valid", 3), ("test", 4)):
        frames = first.splits[name].frames(np.arange(size))
        assert frames.shape == (size, 20, 16, 16)
        assert len(first.splits[name]) == size
        np.testing.assert_array_equal(frames, again.splits[name].frames(np.arange(size)))


def test_the_draw_is_pinned() -> None:
    """Another value means that records of the synthetic task are of other frames."""
    assert synthetic().checksums["test frames"].startswith("c75d4ad0abf31")


def test_a_sequence_is_the_same_in_any_company() -> None:
    split = synthetic(noise=0.1).splits["train"]
    every = split.frames(np.arange(6))
    np.testing.assert_array_equal(split.frames(np.array([4, 1])), every[[4, 1]])


def test_noise_flips_its_share_of_pixels() -> None:
    split = synthetic(noise=0.05, num_train=40).splits["train"]
    which = np.arange(40)
    flipped = split.frames(which) != split.clean(which)
    assert abs(flipped.mean() - 0.05) < 0.002
    assert set(np.unique(split.frames(which))) == {0, 255}
    assert not np.array_equal(flipped[0], flipped[1])


def test_without_noise_the_bound_is_the_entropy_of_grey() -> None:
    shares = [v / 255 for v in (200, 100, 150)]
    entropy = -sum(p * math.log(p) + (1 - p) * math.log(1 - p) for p in shares)
    assert split_of().least_cross_entropy(1) == pytest.approx(entropy)
    assert split_of().least_cross_entropy(0) == pytest.approx(entropy)
    assert synthetic(noise=0.0).bound == 0.0


def test_with_noise_the_bound_is_that_of_who_knows_all_but_the_noise() -> None:
    corpus, rate = synthetic(noise=0.25), 0.25
    split, which = corpus.splits["test"], np.arange(4)
    flipped = (split.frames(which) != split.clean(which))[:, 10:]
    nats = np.where(flipped, -math.log(rate), -math.log(1 - rate)).sum() / (4 * 10)
    assert corpus.bound == pytest.approx(nats)


def test_digits_are_drawn_from_the_file(folder: Path) -> None:
    corpus, images = digits(folder), read_idx(folder / "images.gz")
    drawn = corpus.splits["train"].sprites
    assert len(drawn) == 5
    assert {d.tobytes() for d in drawn} < {i.tobytes() for i in images}
    assert {"images.gz", "train frames"} < set(corpus.checksums)
    assert corpus.splits["test"].corner.shape == (4, 2, 20, 2)
    assert corpus.splits["test"].corner.max() <= 12
    steps = np.diff(corpus.splits["train"].corner.astype(float), axis=2)
    assert np.hypot(steps[..., 0], steps[..., 1]).max() <= 5 + math.sqrt(2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_digits": 10}, ["9 images", "draws 10"]),
        ({"frame_size": 28}, ["28 pixels", "no"]),
        ({"pixels_sha256": "0" * 64}, ["altered", "0000"]),
        ({"files": {"images": FileSpec(path="others.gz")}}, ["others.gz", "somewhere", "twin"]),
    ],
)
def test_what_is_not_the_cards_is_named(
    folder: Path, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(BenchError) as caught:
        digits(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    "content",
    [b"no gzip", *(gzip.compress(c, mtime=0) for c in (b"short", bytes(16), bytes(400)))],
    ids=["no gzip", "short", "no images", "no kind"],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(BenchError, match=r"x\.gz: .*put the original file in its place"):
        read_idx(tmp_path / "x.gz")


def test_generated_frames_have_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="reads no files"):
        prepare_frames(SyntheticFramesSpec(**SIZES), task="toy", path=tmp_path)


def test_moving_mnist_is_what_its_card_says(
    bench_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.core.suite import Suite, shipped_folder

    monkeypatch.setenv("BENCH_DATA", str(bench_data))
    card = Suite(folder=shipped_folder()).card("moving-mnist")
    assert isinstance(card.corpus, MovingDigitsSpec)
    corpus = prepare_frames(card.corpus, task=card.task)
    assert corpus.checksums["test frames"].startswith("1235438a73def")
    frames = corpus.splits["train"].frames(np.arange(50))
    assert frames.shape == (50, 20, 64, 64)
    assert 0.04 < frames.mean() / 255 < 0.06
