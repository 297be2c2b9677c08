"""The suite's n-gram models as models of label sequences.

Shapes: N sequences, V outputs (the end of the sequence, then the labels), S states.
"""

from __future__ import annotations

import numpy as np

from bench.seq2seq.hypothesis import Floats, Ints, Labels
from bench.text.baselines.ngram import NGram


class NGramLabels:
    """An n-gram model over labels; a state is the labels that its contexts can reach.

    `word_V` maps each label to a word of the n-gram model, and entry 0 to its end of sentence.
    Distributions are looked up when a state is first met, and kept: 8 V bytes a state.
    """

    def __init__(self, model: NGram, word_V: Ints) -> None:
        self.model = model
        self.word_V = np.asarray(word_V, dtype=np.int64)
        self._number: dict[Labels, int] = {}
        self._history: list[Labels] = []
        self._log_p_SV: Floats = np.empty((0, len(self.word_V)))
        self._next_SV: Ints = np.empty((0, len(self.word_V)), dtype=np.int64)

    def start(self) -> int:
        return self._state(())

    def log_probs(self, state_N: Ints) -> Floats:
        return self._log_p_SV[state_N]

    def advance(self, state_N: Ints, label_N: Ints) -> Ints:
        next_N = self._next_SV[state_N, label_N]
        unknown_N = next_N < 0
        for state, label in set(zip(state_N[unknown_N], label_N[unknown_N], strict=True)):
            number = self._state((*self._history[state], int(label)))
            self._next_SV[state, label] = number
        next_N[unknown_N] = self._next_SV[state_N[unknown_N], label_N[unknown_N]]
        return next_N

    def _state(self, history: Labels) -> int:
        """The number of the state after some labels, of which the last order - 1 count."""
        history = history[max(0, len(history) - self.model.order + 1) :]
        if history not in self._number:
            number = self._number[history] = len(self._history)
            if number == len(self._log_p_SV):
                self._grow()
            p_V = self.model.distribution(self.word_V[list(history)])[self.word_V]
            with np.errstate(divide="ignore"):
                self._log_p_SV[number] = np.log(p_V)
            self._history.append(history)
        return self._number[history]

    def _grow(self) -> None:
        """Room for twice as many states."""
        more = max(64, len(self._log_p_SV)), len(self.word_V)
        self._log_p_SV = np.concatenate([self._log_p_SV, np.zeros(more)])
        self._next_SV = np.concatenate([self._next_SV, np.full(more, -1)])
