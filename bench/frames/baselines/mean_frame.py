"""The mean of all training frames, whatever was given: what is known of a pixel by its place."""

from __future__ import annotations

import numpy as np

from bench.frames.baselines.baseline import Chances, FrameBaseline
from bench.frames.data.corpus import AT_ONCE, FrameCorpus
from bench.frames.data.sprites import INK, Pixels


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
