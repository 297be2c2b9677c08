"""Label sequences that a search returns, and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import BenchError

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """Label sequence of an utterance; labels count from 1, 0 is the blank.

    `log_prob` is its natural log-probability under the network, all alignments summed exactly.
    `score` is the search's objective: `log_prob` plus the bonus of a label model.
    """

    labels: Labels
    log_prob: float
    score: float


def best_first(
    labels: Iterable[Labels],
    log_probs: Iterable[float],
    num_best: int,
    bonus: Callable[[Labels], float] = lambda _: 0.0,
) -> list[Hypothesis]:
    """Best `num_best` of distinct label sequences by score; ties in the order given."""
    hypotheses = [
        Hypothesis(labels=sequence, log_prob=log_prob, score=log_prob + bonus(sequence))
        for sequence, log_prob in zip(labels, log_probs, strict=True)
    ]
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[:num_best]


def check_search(
    frame_BTX: Tensor, frames_B: Tensor, *, width: int = 1, num_best: int = 1
) -> list[int]:
    """Lengths as integers. Raises BenchError for inputs that cannot be searched."""
    if not 1 <= num_best <= width:
        raise BenchError(f"{num_best} best of a beam of {width}: choose 1 <= num_best <= width")
    lengths: list[int] = frames_B.tolist()
    num_frames = frame_BTX.shape[1]
    for b, length in enumerate(lengths):
        if not 1 <= length <= num_frames:
            raise BenchError(
                f"utterance {b} of the batch has {length} frames, the batch has {num_frames}: a "
                "search needs 1 frame at least; leave out empty utterances"
            )
        if bool(frame_BTX[b, :length].isnan().any()):
            raise BenchError(
                f"utterance {b} of the batch: the network's outputs are not numbers (NaN); it "
                "has diverged, and nothing can be decoded from it"
            )
    return lengths
