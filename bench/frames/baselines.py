"""Baselines of frame prediction: the last frame, and the mean frame.

Shapes: n sequences, T given frames, K predicted frames, Y X pixels, V values of a pixel.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.core.config import RunConfig
from bench.core.outcome import Outcome
from bench.frames.data.corpus import FrameCorpus
from bench.frames.data.motion import INK, Pixels
from bench.frames.outputs import NUM_SHOWN, PredictedFrames
from bench.runs.provenance import Stopwatch, cost_of
from bench.training.baseline import Baseline, Report

Floats = npt.NDArray[np.float64]
Probabilities = npt.NDArray[np.float32]
LEVELS = INK + 1
HALF_LEVEL = 0.5 / LEVELS
SEQUENCES_AT_ONCE = 50


class FrameBaseline(Baseline):
    """Predictor of the probability of ink at every pixel."""

    @abstractmethod
    def fit(self, corpus: FrameCorpus) -> None:
        """Fit to the training split."""

    @abstractmethod
    def predict(self, given: Pixels, num_predicted: int) -> Probabilities:
        """Probabilities of the frames after those given [n, K, Y, X], none of them 0 or 1."""

    def measure(
        self,
        config: RunConfig,
        corpus: FrameCorpus,
        folder: Path,
        *,
        splits: Sequence[str],
        report: Report | None = None,
    ) -> Outcome:
        """Fit to the training split, score and keep the predictions of `splits`."""
        del config, report  # nothing is drawn, nothing takes long
        stopwatch = Stopwatch.start()
        self.fit(corpus)
        predicted = {split: predict_split(self, corpus, split) for split in splits}
        for split, each in predicted.items():
            each.write(folder, split)
        signatures = predicted[splits[0]].signatures
        mse = {split: each.metrics()["mse"] for split, each in predicted.items()}
        return Outcome(
            metrics={split: each.value() for split, each in predicted.items()},
            metric="cross-entropy",
            signature=signatures["cross-entropy"],
            bound=corpus.bound,
            cost=cost_of(stopwatch, num_parameters=self.num_parameters),
            beside={signatures["mse"]: mse},
        )


def predict_split(model: FrameBaseline, corpus: FrameCorpus, split: str) -> PredictedFrames:
    """Predictions of a fitted model and their losses."""
    own, num_given = corpus.splits[split], corpus.num_given
    nats, squared, shown = list[Floats](), list[Floats](), list[Pixels]()
    for which in own.chunks(SEQUENCES_AT_ONCE):
        frames = own.frames(which)
        true_nKYX = frames[:, num_given:] / np.float32(INK)
        p_nKYX = model.predict(frames[:, :num_given], corpus.num_predicted)
        no_nKYX = np.log1p(-p_nKYX)
        log_nKYX = no_nKYX + true_nKYX * (np.log(p_nKYX) - no_nKYX)
        nats.append(-log_nKYX.sum((2, 3), dtype=np.float64))
        squared.append(((p_nKYX - true_nKYX) ** 2).sum((2, 3), dtype=np.float64))
        if not shown:
            shown = [frames[:NUM_SHOWN], np.rint(INK * p_nKYX[:NUM_SHOWN]).astype(np.uint8)]
    return PredictedFrames(
        cross_entropy=np.concatenate(nats),
        squared_error=np.concatenate(squared),
        given=shown[0][:, :num_given],
        true=shown[0][:, num_given:],
        predicted=shown[1],
    )


class Persistence(FrameBaseline):
    """Last given frame, for every frame to come.

    `calibration: learned` predicts of a pixel the mean of what the training split's pixels became
    that were as bright in the last given frame, by a table for each predicted frame: the best
    prediction from a pixel's last value alone, and never certain. `none` predicts the last frame
    itself, its pixels half a grey level away from certainty: the usual persistence, whose squared
    error is that of a copy.

    Parameters
    ----------
    calibration
        learned: mean of what training pixels became that were as bright; none: the last
        frame itself.
    """

    def __init__(self, *, calibration: Literal["learned", "none"] = "learned") -> None:
        self.calibration = calibration
        self.table_KV = np.empty((0, LEVELS))
        """Probability of ink by predicted frame and last value."""

    def fit(self, corpus: FrameCorpus) -> None:
        copied_V = np.clip(np.arange(LEVELS) / INK, HALF_LEVEL, 1 - HALF_LEVEL)
        self.table_KV = np.tile(copied_V, (corpus.num_predicted, 1))
        if self.calibration == "none":
            return
        split, num_given = corpus.splits["train"], corpus.num_given
        count_KVV = np.zeros((corpus.num_predicted, LEVELS, LEVELS), np.int64)
        for which in split.chunks():
            frames = split.frames(which)
            last = LEVELS * frames[:, num_given - 1].astype(np.int64)
            for k, count_VV in enumerate(count_KVV):
                pairs = (last + frames[:, num_given + k]).ravel()
                count_VV += np.bincount(pairs, minlength=LEVELS**2).reshape(LEVELS, LEVELS)
        # Each value is counted once as itself, so that no cell is empty and none certain.
        ink_KV = self.table_KV + count_KVV @ (np.arange(LEVELS) / INK)
        self.table_KV = ink_KV / (1 + count_KVV.sum(2))

    def predict(self, given: Pixels, num_predicted: int) -> Probabilities:
        tables = self.table_KV[:num_predicted].astype(np.float32)
        return np.stack([table_V[given[:, -1]] for table_V in tables], axis=1)

    @property
    def num_parameters(self) -> int:
        return self.table_KV.size if self.calibration == "learned" else 0


class MeanFrame(FrameBaseline):
    """Mean of all training frames, for every frame to come."""

    def __init__(self) -> None:
        self.mean_YX = np.empty((0, 0))

    def fit(self, corpus: FrameCorpus) -> None:
        split = corpus.splits["train"]
        # A frame of probability one half is counted with them, so that no pixel is certain.
        total_YX, number = np.full((corpus.frame_size,) * 2, 0.5), 1
        for which in split.chunks():
            frames = split.frames(which)
            total_YX += frames.sum((0, 1), dtype=np.int64) / INK
            number += frames.shape[0] * frames.shape[1]
        self.mean_YX = total_YX / number

    def predict(self, given: Pixels, num_predicted: int) -> Probabilities:
        mean_YX = self.mean_YX.astype(np.float32)
        return np.broadcast_to(mean_YX, (len(given), num_predicted, *mean_YX.shape))

    @property
    def num_parameters(self) -> int:
        return self.mean_YX.size
