"""Predictors without a gradient: what they say, and that nothing like them says more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.frames.baselines import HALF_LEVEL, FrameBaseline, MeanFrame, Persistence, predict_split
from bench.frames.data.corpus import FrameCorpus
from bench.frames.data.prepared import prepare_frames
from bench.frames.data.specification import SyntheticFramesSpec
from bench.frames.outputs import PredictedFrames
from bench.runs.resolve import resolve
from bench.runs.run import run


@pytest.fixture(scope="module")
def corpus() -> FrameCorpus:
    spec = SyntheticFramesSpec(
        frame_size=12, num_given=3, num_predicted=2, num_train=60, num_valid=8, num_test=9
    )
    return prepare_frames(spec, task="toy")


def fitted(model: FrameBaseline, corpus: FrameCorpus) -> FrameBaseline:
    model.fit(corpus)
    return model


def all_frames(corpus: FrameCorpus, split: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    own = corpus.splits[split]
    return own.frames(np.arange(len(own)))


def test_the_mean_frame_is_the_mean_frame(corpus: FrameCorpus) -> None:
    frames = all_frames(corpus, "train") / 255
    expected = (frames.sum((0, 1)) + 0.5) / (60 * 5 + 1)
    said = fitted(MeanFrame(), corpus).predict(all_frames(corpus, "test")[:, :3], 2)
    assert said.shape == (9, 2, 12, 12)
    np.testing.assert_allclose(said, np.broadcast_to(expected, said.shape), rtol=1e-6)


def test_persistence_learns_what_becomes_of_a_brightness(corpus: FrameCorpus) -> None:
    frames = all_frames(corpus, "train")
    said = fitted(Persistence(), corpus).predict(all_frames(corpus, "test")[:, :3], 2)
    last = all_frames(corpus, "test")[:, 2]
    for k in range(2):
        for value in (0, 255):
            became = frames[:, 3 + k][frames[:, 2] == value] / 255
            own = np.clip(value / 255, HALF_LEVEL, 1 - HALF_LEVEL)
            expected = (became.sum() + own) / (became.size + 1)
            np.testing.assert_allclose(said[:, k][last == value], expected, rtol=1e-6)


def test_uncalibrated_persistence_is_a_copy(corpus: FrameCorpus) -> None:
    given = all_frames(corpus, "test")[:, :3]
    model = fitted(Persistence(calibration="none"), corpus)
    said = model.predict(given, 2)
    assert (np.rint(said * 255) == given[:, -1:]).all()
    assert said.min() > 0
    assert said.max() < 1
    assert model.num_parameters == 0


def test_scores_are_sums_over_pixels(corpus: FrameCorpus) -> None:
    model = fitted(Persistence(), corpus)
    found, frames = predict_split(model, corpus, "test"), all_frames(corpus, "test")
    x, p = frames[:, 3:] / 255, model.predict(frames[:, :3], 2).astype(np.float64)
    nats = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum((2, 3))
    np.testing.assert_allclose(found.cross_entropy, nats, rtol=1e-5)
    np.testing.assert_allclose(found.squared_error, ((p - x) ** 2).sum((2, 3)), rtol=1e-5)
    np.testing.assert_array_equal(found.given, frames[:8, :3])
    np.testing.assert_array_equal(found.true, frames[:8, 3:])
    assert found.predicted.shape == (8, 2, 12, 12)


def test_calibration_costs_nothing_and_certainty_does(corpus: FrameCorpus) -> None:
    learned, copied = (
        predict_split(fitted(Persistence(calibration=kind), corpus), corpus, "test").metrics()
        for kind in ("learned", "none")
    )
    assert corpus.bound < learned["cross-entropy"] < copied["cross-entropy"]
    assert learned["mse"] < copied["mse"]


@pytest.mark.parametrize(
    ("model", "num_parameters"), [("persistence", 10 * 256), ("mean-frame", 16 * 16)]
)
def test_a_run_of_a_baseline(tmp_path: Path, model: str, num_parameters: int) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "few-frames.yaml").write_text(CARD)
    suite = Suite(folder=tmp_path)
    record = run(resolve(suite, "few-frames", model=model), suite)
    assert record.metric == "cross-entropy"
    assert record.bound is not None
    assert record.metrics["test"] > record.bound
    assert record.cost.num_parameters == num_parameters
    kept = PredictedFrames.read(suite.artifacts(record.task, record.id), "test")
    assert kept is not None
    assert kept.metrics()["cross-entropy"] == pytest.approx(record.metrics["test"])
    (mse,) = record.beside.values()
    assert kept.metrics()["mse"] == pytest.approx(mse["test"])


def test_a_baseline_of_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "few-frames.yaml").write_text(CARD)
    with pytest.raises(BenchError, match="few-frames is frames: choose persistence, mean-frame"):
        resolve(Suite(folder=tmp_path), "few-frames", model="ngram")


CARD = """\
task: few-frames
title: A few frames
version: 1
objective: frame-prediction
description: Say where shapes go.
metric: {name: cross-entropy, direction: min}
protocol: Pixels are flipped now and then.
corpus: {kind: synthetic-frames, frame_size: 16, num_train: 30, num_valid: 3, num_test: 4}
"""
