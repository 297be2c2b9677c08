"""The contract of language models that learn by counting or storing.

Shapes: N tokens, V vocabulary. Tokens are word ids in [0, V).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Report: TypeAlias = Callable[[str], None]
Reads: TypeAlias = Literal["text", "captions", "frames"]


class Baseline(ABC):
    """A language model without recurrent training; its options are its constructor's keywords."""

    reads: ClassVar[Reads] = "text"

    @abstractmethod
    def fit(
        self,
        tokens: Ints,
        *,
        valid: Ints,
        vocabulary_size: int,
        end_of_sentence: int | None,
        report: Report | None = None,
    ) -> None:
        """Learn from `tokens` [N]; only `valid` may choose what counting cannot.

        `end_of_sentence` is the id that closes every line, None where the text has no lines.
        `report` is called with one line of text for each thing that a user should know.
        """

    @abstractmethod
    def log_probs(self, tokens: Ints) -> Floats:
        """Natural log p(w_t | w_1 .. w_{t-1}) of each token, [N].

        The text is one stream; the history before `tokens[0]` is a single end of sentence.
        """

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Numbers that the fitted model stores and predicts with."""


def check_tokens(tokens: Ints, vocabulary_size: int) -> Ints:
    """`tokens` as int64, refused when empty or when an id lies outside [0, V)."""
    tokens = np.asarray(tokens, dtype=np.int64)
    if tokens.ndim != 1 or len(tokens) == 0:
        raise BenchError(f"tokens must be one non-empty row of word ids, not shape {tokens.shape}")
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocabulary_size:
        wrong = low if low < 0 else high
        raise BenchError(
            f"word id {wrong} lies outside the vocabulary of {vocabulary_size} words: "
            "encode the text with the training vocabulary"
        )
    return tokens
