"""Text from a known distribution, with memory at two ranges and an exact score for every text.

    topic     7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 2 2 2 2 2 ...    hidden, changes slowly
    class     det noun verb prep noun <eos> pron verb det adj noun <eos> ...    local grammar
    word      det3 noun41 verb7 prep1 noun8 <eos> pron2 verb7 det1 adj30 noun41 <eos> ...

The grammar is an automaton with state s: P(c_t | s_t) = A[s_t, c_t], s_{t+1} = next(s_t, c_t).
Classes share no word, so who reads from the beginning of a sentence always knows the state. The
topic z stays, or with probability r = 1 / topic_length_mean is drawn anew from all K. It decides
which nouns and verbs are frequent (Zipf's law in an order of its own): P(w | c, z) = E[z, w].
What an ideal reader predicts follows from the forward algorithm over the topic, a = P(z_t | past):

    P(w_t | past) = A[s_t, c(w_t)] sum_z a_t[z] E[z, w_t]                                 (1)
    a_{t+1} = (1 - r) a_t E[., w_t] / sum_z a_t[z] E[z, w_t] + r / K                      (2)

The mean of -log (1) over a split is its bound. No predictor has a lower expected cross-entropy. On
N words, one that is expected to be d nats a word worse comes out d worse, give or take about
sqrt(2 d / N): only a model that all but knows the distribution can pass below by luck.

Shapes: C classes, K topics, M words before, N tokens, S grammar states, V vocabulary.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.core.splits import SPLITS
from bench.data.random import uniform
from bench.data.rows import Vocabulary
from bench.text.data.corpus import TextCorpus
from bench.text.data.specification import SyntheticTextSpec

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NUM_WORDS = {"det": 6, "pron": 6, "adj": 40, "noun": 160, "verb": 80, "adv": 20, "prep": 8, "": 1}
TOPICAL = ("noun", "verb")
# state: (class, probability, next state); the class "" is the end of sentence.
GRAMMAR = (
    (("det", 0.5, 1), ("pron", 0.25, 2), ("adj", 0.05, 1), ("noun", 0.2, 2)),
    (("adj", 0.35, 1), ("noun", 0.65, 2)),
    (("adv", 0.2, 2), ("verb", 0.8, 3)),
    (("det", 0.5, 4), ("noun", 0.2, 5), ("prep", 0.15, 6), ("", 0.15, 0)),
    (("adj", 0.35, 4), ("noun", 0.65, 5)),
    (("prep", 0.25, 6), ("", 0.75, 0)),
    (("det", 0.7, 4), ("noun", 0.3, 5)),
)


def make_language(spec: SyntheticTextSpec) -> Language:
    """Build the distribution of a card; its seed decides which words each topic prefers."""
    source = np.random.PCG64(spec.seed)
    classes = list(NUM_WORDS)
    tables = []
    for name, num_words in NUM_WORDS.items():
        zipf = 1 / np.arange(1, num_words + 1)
        zipf /= np.cumsum(zipf)[-1]
        ranks = [np.argsort(uniform(source, num_words)) for _ in range(spec.num_topics)]
        rows = ranks if name in TOPICAL else ranks[:1] * spec.num_topics
        tables.append(np.stack([zipf[rank] for rank in rows]))
    class_given_state = np.zeros((len(GRAMMAR), len(classes)))
    next_state = np.zeros((len(GRAMMAR), len(classes)), np.int64)
    for state, choices in enumerate(GRAMMAR):
        for name, probability, following in choices:
            class_given_state[state, classes.index(name)] = probability
            next_state[state, classes.index(name)] = following
    return Language(
        symbols=tuple(
            f"{name}{number}" if name else spec.end_of_sentence
            for name, num_words in NUM_WORDS.items()
            for number in range(num_words)
        ),
        class_of=np.repeat(np.arange(len(classes)), list(NUM_WORDS.values())),
        class_given_state=class_given_state,
        next_state=next_state,
        word_given_topic=np.concatenate(tables, axis=1),
        change=1 / spec.topic_length_mean,
    )


def generate(spec: SyntheticTextSpec) -> TextCorpus:
    """Draw the corpus of a card, the same everywhere, with the bound of valid and test."""
    language = make_language(spec)
    num_tokens = (spec.num_train_tokens, spec.num_valid_tokens, spec.num_test_tokens)
    drawn = {
        split: language.sample(num, np.random.PCG64(spec.seed).jumped(place))
        for place, (split, num) in enumerate(zip(SPLITS, num_tokens, strict=True), start=1)
    }
    nats_N = {split: -language.log_probabilities(drawn[split]) for split in ("valid", "test")}
    counts = np.bincount(drawn["train"], minlength=len(language.symbols))
    order = np.argsort(-counts, kind="stable")
    number_of = np.argsort(order)
    splits = {split: number_of[words] for split, words in drawn.items()}
    return TextCorpus(
        unit=spec.unit,
        vocabulary=Vocabulary(
            symbols=tuple(language.symbols[word] for word in order), counts=counts[order]
        ),
        splits=splits,
        checksums={
            split: hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()
            for split, ids in splits.items()
        },
        end_of_sentence=spec.end_of_sentence,
        bound_nats={split: float(nats.mean()) for split, nats in nats_N.items()},
        bound_error_nats={split: standard_error(nats) for split, nats in nats_N.items()},
    )


def standard_error(values_N: Floats) -> float:
    """Standard error of the mean of a correlated sequence, from the means of its blocks."""
    num_blocks = min(30, len(values_N))
    means = [float(block.mean()) for block in np.array_split(values_N, num_blocks)]
    return float(np.std(means, ddof=1) / num_blocks**0.5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Language:
    """Distribution over texts: draws them and gives their exact probability.

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
        """Draw a text [N] that begins a sentence, with a topic drawn from all."""
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
        """log P(w_t | the M words before) [N - M], for t >= M, natural.

        The ideal (M+1)-gram of the stationary text: state and topic M words ago are unknown.
        """
        num_tokens = len(word_N) - num_previous
        num_topics = len(self.word_given_topic)
        belief_NK = np.full((num_tokens, num_topics), 1 / num_topics)
        moves_CSS = self._moves()
        state_NS = np.tile(_stationary(moves_CSS.sum(axis=0)), (num_tokens, 1))
        for m in range(num_previous):
            word = word_N[m : m + num_tokens]
            belief_NK = _normalised(belief_NK * self.word_given_topic[:, word].T)
            belief_NK = (1 - self.change) * belief_NK + self.change / num_topics
            moved_NS = np.einsum("ns,nsr->nr", state_NS, moves_CSS[self.class_of[word]])
            state_NS = _normalised(moved_NS)
        word = word_N[num_previous:]
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


def _normalised(weights: Floats) -> Floats:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _stationary(moves_SS: Floats) -> Floats:
    return np.asarray(np.linalg.matrix_power(moves_SS, 1 << 12)[0])
