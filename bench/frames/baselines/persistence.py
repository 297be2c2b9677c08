"""Persistence: nothing moves, every frame to come is the last one given.

`calibration: learned` says of a pixel what the training split's pixels became that were as bright
in the last frame given, one table for each predicted frame. That is the best that can be said of a
pixel by its last value alone, and never certain. `none` is the last frame itself, its pixels kept
half a grey level away from certainty: the usual persistence, whose squared error is that of a copy.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from bench.frames.baselines.baseline import Chances, FrameBaseline
from bench.frames.data.corpus import AT_ONCE, FrameCorpus
from bench.frames.data.sprites import INK, Pixels

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
