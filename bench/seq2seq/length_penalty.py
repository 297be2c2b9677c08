"""What a finished sequence scores beside others of other lengths.

    none     log p(y | x)
    average  log p(y | x) / |y|
    gnmt     log p(y | x) / ((5 + |y|) / 6)^alpha

The last is equation (14) of Y. Wu et al., "Google's neural machine translation system", 2016,
without coverage. |y| counts the end, as log p does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

Kind = Literal["none", "average", "gnmt"]
Numbers = TypeVar("Numbers", float, Tensor)


@dataclass(frozen=True, kw_only=True)
class LengthPenalty:
    """Divides a log-probability by a function of the length; `alpha` is read by `gnmt` only."""

    kind: Kind = "none"
    alpha: float = 0.6

    def score(self, log_prob: Numbers, length: Numbers) -> Numbers:
        """The score of a finished sequence."""
        if self.kind == "none":
            return log_prob
        if self.kind == "average":
            return log_prob / length
        divisor: Numbers = ((5 + length) / 6) ** self.alpha
        return log_prob / divisor

    def best_possible(self, log_prob: Tensor, length: Tensor, max_length: Tensor) -> Tensor:
        """What a sequence that goes on can score at the most: each further token may be certain.

        Its length will be between `length` and `max_length`; the score is monotone in it.
        """
        ends = self.score(log_prob, length), self.score(log_prob, max_length)
        return torch.maximum(*ends)

    @property
    def signature(self) -> str:
        """How the searches' signatures name it."""
        return f"gnmt({self.alpha:g})" if self.kind == "gnmt" else self.kind
