"""N-gram language models: Kneser-Ney, modified Kneser-Ney and Katz.

Shapes: N tokens, V vocabulary.

What a context is, is a convention that moves perplexity by several points:

- within-sentences: each line begins with a start symbol that contexts may reach and not pass, as
  in SRILM and KenLM. The end of the line before stands for it; it is predicted only as an end.
- across-sentences: the text is one stream and the end of a sentence an ordinary word.

A text without ends of sentences is one stream under both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from bench.core.errors import BenchError
from bench.text.baselines.baseline import Baseline, Floats, Ints, Report, check_tokens
from bench.text.baselines.counts import Contexts, Trie
from bench.text.baselines.katz import katz
from bench.text.baselines.smoothing import BackOff, kneser_ney

Smoothing = Literal["kneser-ney", "modified-kneser-ney", "katz"]
MAX_ORDER = 7


class NGram(Baseline):
    """An n-gram model of orders 1 to 7, estimated and scored by sorting and searching.

    `min_count` belongs to katz: n-grams of order 3 and above seen less often count as unseen.
    """

    def __init__(
        self,
        *,
        order: int = 5,
        smoothing: Smoothing = "modified-kneser-ney",
        contexts: Contexts = "within-sentences",
        min_count: int = 1,
    ) -> None:
        if not 1 <= order <= MAX_ORDER:
            raise BenchError(f"order {order} of an n-gram model: choose 1 to {MAX_ORDER}")
        if min_count < 1 or (min_count > 1 and smoothing != "katz"):
            raise BenchError(f"min_count {min_count}: it is 1 or more, and 1 unless smoothing=katz")
        self.order = order
        self.smoothing = smoothing
        self.contexts = contexts
        self.min_count = min_count
        self._fitted: tuple[Trie, BackOff] | None = None

    def fit(
        self,
        tokens: Ints,
        *,
        valid: Ints,
        vocabulary_size: int,
        end_of_sentence: int | None,
        report: Report | None = None,
    ) -> None:
        trie = Trie.count(
            check_tokens(tokens, vocabulary_size),
            order=self.order,
            vocabulary_size=vocabulary_size,
            end_of_sentence=end_of_sentence,
            contexts=self.contexts,
        )
        if self.smoothing == "katz":
            tables = katz(trie, min_count=self.min_count, report=report)
        else:
            num_discounts = 1 if self.smoothing == "kneser-ney" else 3
            tables = kneser_ney(trie, num_discounts=num_discounts, report=report)
        self._fitted = trie, tables

    def log_probs(self, tokens: Ints) -> Floats:
        trie, tables = self.fitted
        tokens = check_tokens(tokens, trie.vocabulary_size)
        p_N = np.ones(len(tokens))
        orders = zip(trie.trace(tokens), tables.probability, tables.backoff, strict=True)
        for (context_N, gram_N), probability, backoff in orders:
            backed_N = np.where(context_N >= 0, backoff[context_N], 1.0) * p_N
            p_N = np.where(gram_N >= 0, probability[gram_N], backed_N)
        return np.log(p_N)

    def distribution(self, history: Ints | Sequence[int]) -> Floats:
        """p(w | history) of every word, [V]; nothing precedes `history` but an end of sentence."""
        trie, tables = self.fitted
        history = np.asarray(history, dtype=np.int64)
        p_V = tables.probability[0].copy()
        for k, context in enumerate(trie.contexts_of(history)[1:], start=1):
            grams = trie.orders[k]
            after = grams.successors(context, trie.vocabulary_size)
            p_V = tables.backoff[k][context] * p_V
            p_V[grams.word[after]] = tables.probability[k][after]
        return p_V

    @property
    def num_parameters(self) -> int:
        """Probabilities of all n-grams, and back-off weights of those below the highest order."""
        _, tables = self.fitted
        return sum(map(len, tables.probability)) + sum(map(len, tables.backoff[1:]))

    @property
    def fitted(self) -> tuple[Trie, BackOff]:
        """The counts and the tables; an error before `fit`."""
        if self._fitted is None:
            raise BenchError("this n-gram model has not been fitted: call fit() first")
        return self._fitted
