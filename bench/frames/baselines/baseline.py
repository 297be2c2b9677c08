"""The contract of models that predict frames without a gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bench.frames.data.corpus import FrameCorpus
from bench.frames.data.sprites import Pixels
from bench.text.baselines.baseline import Reads

Chances = npt.NDArray[np.float32]


class FrameBaseline(ABC):
    """Says how probable ink is at every pixel; its options are its constructor's keywords."""

    reads: ClassVar[Reads] = "frames"

    @abstractmethod
    def fit(self, corpus: FrameCorpus) -> None:
        """Learn from the training split."""

    @abstractmethod
    def predict(self, given: Pixels, num_predicted: int) -> Chances:
        """The frames after those given [n, T, Y, X]: probabilities [n, K, Y, X], none 0 or 1."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Numbers that the fitted model stores and predicts with."""
