"""The contract of language models that learn by counting or storing.

Shapes: N tokens, V vocabulary. Tokens are word ids in [0, V).
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.core.config import RunConfig
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.runs.provenance import Stopwatch, cost_of
from bench.text.data.corpus import TextCorpus
from bench.text.metric import bound_value, metric_name, metric_value, text_signature
from bench.text.outputs import write_log_probs
from bench.training.baseline import Baseline, Report

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Order = Annotated[int, msgspec.Meta(ge=1, le=7)]
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class TextBaseline(Baseline):
    """A language model without recurrent training."""

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

    def measure(
        self,
        config: RunConfig,
        corpus: TextCorpus,
        folder: Path,
        *,
        splits: Sequence[str],
        report: Report | None = None,
    ) -> Outcome:
        """Fit to the training split and keep the log-probabilities of `splits` in `folder`."""
        del config  # counting draws nothing
        end = corpus.end_of_sentence
        stopwatch = Stopwatch.start()
        self.fit(
            corpus.splits["train"],
            valid=corpus.splits["valid"],
            vocabulary_size=len(corpus.vocabulary.symbols),
            end_of_sentence=None if end is None else corpus.vocabulary.index[end],
            report=report,
        )
        fitting_sec = time.perf_counter() - stopwatch.sec
        metrics = {}
        for split in splits:
            log_probs_N = self.log_probs(corpus.splits[split])
            write_log_probs(folder, split, log_probs_N)
            metrics[split] = metric_value(corpus, -math.fsum(log_probs_N) / len(log_probs_N))
        return Outcome(
            metrics=metrics,
            metric=metric_name(corpus),
            signature=text_signature(corpus),
            bound=bound_value(corpus),
            cost=cost_of(
                stopwatch,
                num_parameters=self.num_parameters,
                tokens_per_sec=round(len(corpus.splits["train"]) / fitting_sec, 1),
            ),
        )


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
