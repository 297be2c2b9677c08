"""A model of label sequences beside the network's own.

Shapes: N sequences, V outputs: the end of the sequence at 0, where the network has its blank, then
the labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bench.core.errors import BenchError
from bench.seq2seq.hypothesis import Floats, Ints, Labels


class LabelModel(Protocol):
    """What a search asks of a model of label sequences; states are numbers that it hands out."""

    def start(self) -> int:
        """The state before the first label."""
        ...

    def log_probs(self, state_N: Ints) -> Floats:
        """Natural log p(next | state), [N, V]; column 0 is the end of the sequence."""
        ...

    def advance(self, state_N: Ints, label_N: Ints) -> Ints:
        """The states after one more label each, [N]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """score = log p(labels | x) + weight * log p(labels) + insertion_bonus * number of labels."""

    model: LabelModel
    weight: float = 1.0
    insertion_bonus: float = 0.0

    def __post_init__(self) -> None:
        if not (self.weight > 0 and math.isfinite(self.weight + self.insertion_bonus)):
            raise BenchError(
                f"label model with weight {self.weight}, insertion bonus {self.insertion_bonus}: "
                "the weight is above 0, both are finite; without a model give no fusion"
            )

    def increments(self, state_N: Ints) -> Floats:
        """What each next output adds to the score, [N, V]; column 0 is the end."""
        increment_NV = self.weight * self.model.log_probs(state_N)
        increment_NV[:, 1:] += self.insertion_bonus
        return increment_NV

    def total(self, labels: Labels) -> float:
        """What the model adds to the score of a whole sequence."""
        state, total = np.array([self.model.start()]), 0.0
        for label in labels:
            total += float(self.increments(state)[0, label])
            state = self.model.advance(state, np.array([label]))
        return total + float(self.increments(state)[0, 0])
