"""Baselines of frame prediction: the last frame, and the mean frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.core.config import RunConfig
from bench.core.outcome import Outcome
from bench.frames.data.corpus import AT_ONCE, FrameCorpus
from bench.frames.data.motion import INK, Pixels
from bench.frames.outputs import NUM_SHOWN, PredictedFrames, signatures
from bench.runs.provenance import Stopwatch, cost_of
from bench.training.baseline import Baseline, Report

Floats = npt.NDArray[np.float64]
Chances = npt.NDArray[np.float32]


class FrameBaseline(Baseline):
    """A predictor of the probability of ink at every pixel."""

    @abstractmethod
    def fit(self, corpus: FrameCorpus) -> None:
        """Learn from the training split."""

    @abstractmethod
    def predict(self, given: Pixels, num_predicted: int) -> Chances:
        """The frames after those given [n, T, Y, X]: probabilities [n, K, Y, X], none 0 or 1."""

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
        named = signatures(
            frame_size=corpus.frame_size,
            num_given=corpus.num_given,
            num_predicted=corpus.num_predicted,
        )
        metrics: dict[str, float] = {}
        beside: dict[str, float] = {}
        for split in splits:
            made = scored(self, corpus, split)
            made.write(folder, split)
            metrics[split], beside[split] = made.metrics().values()
        return Outcome(
            metrics=metrics,
            metric="cross-entropy",
            signature=named["cross-entropy"],
            bound=corpus.bound,
            cost=cost_of(stopwatch, num_parameters=self.num_parameters),
            beside={named["mse"]: beside},
        )


SEQUENCES_AT_ONCE = 50


def scored(model: FrameBaseline, corpus: FrameCorpus, split: str) -> PredictedFrames:
    """What a fitted model says of a split."""
    own, num_given = corpus.splits[split], corpus.num_given
    nats, squared, shown = list[Floats](), list[Floats](), list[Pixels]()
    for first in range(0, len(own), SEQUENCES_AT_ONCE):
        frames = own.frames(np.arange(first, min(first + SEQUENCES_AT_ONCE, len(own))))
        true_nKYX = frames[:, num_given:] / np.float32(INK)
        p_nKYX = model.predict(frames[:, :num_given], corpus.num_predicted)
        no_nKYX = np.log1p(-p_nKYX)
        log_nKYX = no_nKYX + true_nKYX * (np.log(p_nKYX) - no_nKYX)
        nats.append(-log_nKYX.sum((2, 3), dtype=np.float64))
        squared.append(((p_nKYX - true_nKYX) ** 2).sum((2, 3), dtype=np.float64))
        if first == 0:
            shown = [frames[:NUM_SHOWN], np.rint(INK * p_nKYX[:NUM_SHOWN]).astype(np.uint8)]
    return PredictedFrames(
        cross_entropy=np.concatenate(nats),
        squared_error=np.concatenate(squared),
        given=shown[0][:, :num_given],
        true=shown[0][:, num_given:],
        predicted=shown[1],
    )


# Persistence: nothing moves, every frame to come is the last one given.
#
# `calibration: learned` says of a pixel what the training split's pixels became that were as
# bright in the last frame given, one table for each predicted frame. That is the best that can be
# said of a pixel by its last value alone, and never certain. `none` is the last frame itself, its
# pixels kept half a grey level away from certainty: the usual persistence, whose squared error is
# that of a copy.


LEVELS = INK + 1
HALF_LEVEL = 0.5 / LEVELS


class Persistence(FrameBaseline):
    """The last frame given, over and over."""

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
        for first in range(0, len(split), AT_ONCE):
            frames = split.frames(np.arange(first, min(first + AT_ONCE, len(split))))
            last = LEVELS * frames[:, num_given - 1].astype(np.int64)
            for k, count_VV in enumerate(count_KVV):
                pairs = (last + frames[:, num_given + k]).ravel()
                count_VV += np.bincount(pairs, minlength=LEVELS**2).reshape(LEVELS, LEVELS)
        # Each value is counted once as itself, so that no cell is empty and none certain.
        ink_KV = self.table_KV + count_KVV @ (np.arange(LEVELS) / INK)
        self.table_KV = ink_KV / (1 + count_KVV.sum(2))

    def predict(self, given: Pixels, num_predicted: int) -> Chances:
        tables = self.table_KV[:num_predicted].astype(np.float32)
        return np.stack([table_V[given[:, -1]] for table_V in tables], axis=1)

    @property
    def num_parameters(self) -> int:
        return self.table_KV.size if self.calibration == "learned" else 0


# The mean of all training frames, whatever was given: what is known of a pixel by its place.


class MeanFrame(FrameBaseline):
    """One picture for every frame to come."""

    def __init__(self) -> None:
        self.mean_YX = np.empty((0, 0))

    def fit(self, corpus: FrameCorpus) -> None:
        split = corpus.splits["train"]
        # One frame of half a chance beside them all, so that no pixel is certain.
        total_YX, number = np.full((corpus.frame_size,) * 2, 0.5), 1
        for first in range(0, len(split), AT_ONCE):
            frames = split.frames(np.arange(first, min(first + AT_ONCE, len(split))))
            total_YX += frames.sum((0, 1), dtype=np.int64) / INK
            number += frames.shape[0] * frames.shape[1]
        self.mean_YX = total_YX / number

    def predict(self, given: Pixels, num_predicted: int) -> Chances:
        mean_YX = self.mean_YX.astype(np.float32)
        return np.broadcast_to(mean_YX, (len(given), num_predicted, *mean_YX.shape))

    @property
    def num_parameters(self) -> int:
        return self.mean_YX.size
