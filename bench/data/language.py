"""A language of topics and grammar: draws texts and gives their exact probability.

See `bench.text.data.synthetic` for the picture and the equations; symbols as there.

C classes, K topics, M words before, N tokens, S grammar states, V vocabulary.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Language:
    """The distribution itself.

    `class_of` c [V]; `class_given_state` A [S, C]; `next_state` [S, C]; `word_given_topic`
    E [K, V], in which the words of each class sum to one; `change` r.
    """

    symbols: tuple[str, ...]
    class_of: Ids
    class_given_state: Floats
    next_state: Ids
    word_given_topic: Floats
    change: float

    def sample(self, num_tokens: int, source: np.random.PCG64) -> Ids:
        """A text [N] that begins a sentence, with a topic drawn from all."""
        class_N = self._sample_classes(uniform(source, num_tokens))
        num_topics = len(self.word_given_topic)
        changed_N = uniform(source, num_tokens) < self.change
        drawn_N = (uniform(source, num_tokens) * num_topics).astype(np.int64)
        topic_N = drawn_N[np.maximum.accumulate(np.where(changed_N, np.arange(num_tokens), 0))]
        u_N = uniform(source, num_tokens)
        word_N = np.empty(num_tokens, np.int64)
        for number in range(self.class_given_state.shape[1]):
            where = np.flatnonzero(class_N == number)
            words = np.flatnonzero(self.class_of == number)
            # Row k of the cumulative table is shifted by k: one search serves every topic.
            table = np.cumsum(self.word_given_topic[:, words], axis=1)
            table += np.arange(num_topics)[:, None]
            found = np.searchsorted(table.ravel(), topic_N[where] + u_N[where], side="right")
            word_N[where] = words[np.clip(found - topic_N[where] * len(words), 0, len(words) - 1)]
        return word_N

    def _sample_classes(self, u_N: Floats) -> Ids:
        cumulative = np.cumsum(self.class_given_state, axis=1).tolist()
        following = self.next_state.tolist()
        last = [int(np.flatnonzero(row)[-1]) for row in self.class_given_state]
        state, classes = 0, []
        for u in u_N.tolist():
            classes.append(min(bisect_right(cumulative[state], u), last[state]))
            state = following[state][classes[-1]]
        return np.array(classes, np.int64)

    def log_probabilities(self, word_N: Ids) -> Floats:
        """log P(w_t | all words before), natural, of a text that begins a sentence [N]: eq. (1)."""
        num_topics = len(self.word_given_topic)
        class_N = self.class_of[word_N]
        state_N = np.zeros(len(word_N), np.int64)
        state, following = 0, self.next_state.tolist()
        belief_K = np.full(num_topics, 1 / num_topics)
        word_given_topic_VK = np.ascontiguousarray(self.word_given_topic.T)
        total_N = np.empty(len(word_N))
        for t, (word, kind) in enumerate(zip(word_N.tolist(), class_N.tolist(), strict=True)):
            state_N[t] = state
            state = following[state][kind]
            joint_K = belief_K * word_given_topic_VK[word]
            total_N[t] = total = joint_K.sum()
            belief_K = joint_K * ((1 - self.change) / total) + self.change / num_topics  # eq. (2)
        log_grammar_N = np.log(self.class_given_state[state_N, class_N])
        return np.asarray(np.log(total_N) + log_grammar_N, np.float64)

    def log_probabilities_within(self, word_N: Ids, *, num_previous: int) -> Floats:
        """log P(w_t | the M words before) [N - M], for t >= M: the best that an n-gram can do.

        The ideal (M+1)-gram of the stationary text: state and topic M words ago are unknown.
        """
        memory = num_previous
        num_tokens = len(word_N) - memory
        num_topics = len(self.word_given_topic)
        belief_NK = np.full((num_tokens, num_topics), 1 / num_topics)
        moves_CSS = self._moves()
        state_NS = np.tile(_stationary(moves_CSS.sum(axis=0)), (num_tokens, 1))
        for m in range(memory):
            word = word_N[m : m + num_tokens]
            belief_NK = _normalised(belief_NK * self.word_given_topic[:, word].T)
            belief_NK = (1 - self.change) * belief_NK + self.change / num_topics
            moved_NS = np.einsum("ns,nsr->nr", state_NS, moves_CSS[self.class_of[word]])
            state_NS = _normalised(moved_NS)
        word = word_N[memory:]
        of_topic = (belief_NK * self.word_given_topic[:, word].T).sum(axis=1)
        of_grammar = (state_NS * self.class_given_state[:, self.class_of[word]].T).sum(axis=1)
        return np.asarray(np.log(of_topic) + np.log(of_grammar), np.float64)

    def _moves(self) -> Floats:
        num_states, num_classes = self.class_given_state.shape
        moves_CSS = np.zeros((num_classes, num_states, num_states))
        for state, number in np.argwhere(self.class_given_state > 0):
            following = self.next_state[state, number]
            moves_CSS[number, state, following] = self.class_given_state[state, number]
        return moves_CSS


def uniform(source: np.random.PCG64, num: int) -> Floats:
    """Numbers in [0, 1) from raw bits alone, which no version of numpy may change."""
    return np.asarray((source.random_raw(num) >> np.uint64(11)) * 2.0**-53, np.float64)


def _normalised(weights: Floats) -> Floats:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _stationary(moves_SS: Floats) -> Floats:
    return np.asarray(np.linalg.matrix_power(moves_SS, 1 << 12)[0])
