"""Predictions that are kept: read as they were written, drawn as strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import BenchError
from bench.frames.outputs import BACKGROUND, PredictedFrames, strips


def made(side: int = 50) -> PredictedFrames:
    rng = np.random.default_rng(1)

    def pixels(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return rng.integers(0, 256, (2, number, side, side)).astype(np.uint8)

    return PredictedFrames(
        cross_entropy=rng.random((5, 3)),
        squared_error=rng.random((5, 3)),
        given=pixels(4),
        true=pixels(3),
        predicted=pixels(3),
    )


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    made().write(tmp_path, "test")
    found, expected = PredictedFrames.read(tmp_path, "test"), made()
    assert found is not None
    for name in ("cross_entropy", "squared_error", "given", "true", "predicted"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert PredictedFrames.read(tmp_path, "valid") is None


def test_the_same_frames_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made().write(tmp_path / name, "test")
    for file in ("frames-test.npz", "frames-test.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_metrics_are_means_over_frames() -> None:
    found = made()
    units = found.units()
    assert found.metrics() == pytest.approx(
        {"cross-entropy": found.cross_entropy.mean(), "mse": found.squared_error.mean()}
    )
    assert (
        found.value()
        == units.metric(units.sums.sum(0))
        == pytest.approx(found.cross_entropy.mean())
    )
    assert units.noun == "5 sequences of 3 predicted frames"


def test_other_arrays_are_damage(tmp_path: Path) -> None:
    np.savez(PredictedFrames.path(tmp_path, "test"), something=np.zeros(3))
    with pytest.raises(BenchError, match="damaged"):
        PredictedFrames.read(tmp_path, "test")


def test_strips_show_the_truth_and_below_it_the_prediction(tmp_path: Path) -> None:
    found = made()
    picture = strips(found)
    assert picture.shape == (2 * 2 * 52 + 4, 7 * 52)
    np.testing.assert_array_equal(picture[:50, :50], found.given[0, 0])
    np.testing.assert_array_equal(picture[:50, 4 * 52 : 4 * 52 + 50], found.true[0, 0])
    np.testing.assert_array_equal(picture[52:102, 6 * 52 : 6 * 52 + 50], found.predicted[0, 2])
    assert (picture[52:102, : 4 * 52] == BACKGROUND).all()
    np.testing.assert_array_equal(picture[108:158, :50], found.given[1, 0])
    found.write(tmp_path, "test")
    with Image.open(tmp_path / "frames-test.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture)


def test_small_frames_are_drawn_larger() -> None:
    found = made(side=12)
    picture = strips(found)
    assert picture.shape[1] == 7 * (4 * 12 + 2)
    assert (picture[:4, :4] == found.given[0, 0, 0, 0]).all()
