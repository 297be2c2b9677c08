"""The generated language: its probabilities are exact, its text is pinned, its bound is honest."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from bench.core.cards import read_card
from bench.data.random import uniform
from bench.text.data.corpus import TextCorpus
from bench.text.data.specification import SyntheticTextSpec
from bench.text.data.synthetic import (
    GRAMMAR,
    NUM_WORDS,
    Language,
    generate,
    make_language,
    standard_error,
)

CARD = Path(__file__).parents[2] / "tasks" / "synthetic-text.yaml"


@pytest.fixture(scope="module")
def spec() -> SyntheticTextSpec:
    corpus = read_card(CARD).corpus
    assert isinstance(corpus, SyntheticTextSpec)
    return corpus


@pytest.fixture(scope="module")
def language(spec: SyntheticTextSpec) -> Language:
    return make_language(spec)


@pytest.fixture(scope="module")
def corpus(spec: SyntheticTextSpec) -> TextCorpus:
    return generate(spec)


def tiny_language() -> Language:
    """Two topics, two states: a determiner-like word, then one of two nouns, for ever."""
    return Language(
        symbols=("the", "x", "y"),
        class_of=np.array([0, 1, 1]),
        class_given_state=np.array([[1.0, 0.0], [0.25, 0.75]]),
        next_state=np.array([[1, 0], [1, 0]]),
        word_given_topic=np.array([[1.0, 0.9, 0.1], [1.0, 0.2, 0.8]]),
        change=0.1,
    )


def joint_probability(language: Language, words: list[int]) -> float:
    """P(words), by summing over every sequence of topics."""
    num_topics = len(language.word_given_topic)
    state, grammar = 0, 1.0
    for word in words:
        kind = language.class_of[word]
        grammar *= language.class_given_state[state, kind]
        state = language.next_state[state, kind]
    total = 0.0
    for topics in itertools.product(range(num_topics), repeat=len(words)):
        probability = 1 / num_topics
        for before, after in itertools.pairwise(topics):
            stay = (1 - language.change) * (before == after)
            probability *= stay + language.change / num_topics
        for topic, word in zip(topics, words, strict=True):
            probability *= language.word_given_topic[topic, word]
        total += probability
    return grammar * total


def test_the_score_is_the_probability_of_the_text() -> None:
    language = tiny_language()
    for words in ([0], [0, 1], [0, 1, 0, 2], [0, 0, 2, 0, 1, 0, 1]):
        log_p = language.log_probabilities(np.array(words))
        assert math.isclose(log_p.sum(), math.log(joint_probability(language, words)))


def test_probabilities_of_the_next_word_sum_to_one(language: Language) -> None:
    history = language.sample(200, np.random.PCG64(5))
    with np.errstate(divide="ignore"):  # a class that cannot follow has probability zero
        scores = [
            language.log_probabilities(np.append(history, word))[-1]
            for word in range(len(language.symbols))
        ]
    assert math.isclose(np.exp(scores).sum(), 1.0)


def test_samples_follow_the_distribution() -> None:
    language = tiny_language()
    words = language.sample(200_000, np.random.PCG64(3))
    text = "".join(map(str, words))
    windows = len(text) - 2
    for pattern in ("010", "020", "001", "101", "102", "202"):
        found = sum(text.startswith(pattern, at) for at in range(windows)) / windows
        # The stationary text: topic equally likely, grammar state 1 after every "the".
        states = np.linalg.matrix_power(np.array([[0.0, 1.0], [0.75, 0.25]]), 1000)[0]
        expected = 0.0
        for state, weight in enumerate(states):
            moved = Language(
                symbols=language.symbols,
                class_of=language.class_of,
                class_given_state=np.roll(language.class_given_state, -state, axis=0),
                next_state=(np.roll(language.next_state, -state, axis=0) + state) % 2,
                word_given_topic=language.word_given_topic,
                change=language.change,
            )
            expected += weight * joint_probability(moved, [int(c) for c in pattern])
        assert abs(found - expected) < 0.01


def test_a_short_memory_is_the_ideal_n_gram() -> None:
    language = tiny_language()
    words = language.sample(300_000, np.random.PCG64(4))
    for memory in (0, 1, 2):
        codes = sum(
            words[m : len(words) - memory + m] * 3 ** (memory - m) for m in range(memory + 1)
        )
        counts = np.bincount(codes, minlength=3 ** (memory + 1)).reshape(-1, 3)
        with np.errstate(invalid="ignore", divide="ignore"):
            counted = np.log(counts / counts.sum(axis=1, keepdims=True)).ravel()
        ideal = language.log_probabilities_within(words, num_previous=memory)
        assert abs(counted[codes] - ideal).max() < 0.03


def test_the_bound_is_the_generators_own_score(
    spec: SyntheticTextSpec, language: Language, corpus: TextCorpus
) -> None:
    assert corpus.bound_nats is not None
    assert corpus.bound_error_nats is not None
    elsewhere = -language.log_probabilities(language.sample(200_000, np.random.PCG64(77)))
    for split in ("valid", "test"):
        error = math.hypot(corpus.bound_error_nats[split], standard_error(elsewhere))
        assert abs(corpus.bound_nats[split] - elsewhere.mean()) < 3 * error
        assert 0.004 < corpus.bound_error_nats[split] < 0.02
        # The numbers in the corpus are the drawn words: the score can be had from them alone.
        words = [language.symbols.index(corpus.vocabulary.symbols[i]) for i in corpus.splits[split]]
        log_p = language.log_probabilities(np.array(words))
        assert math.isclose(-log_p.mean(), corpus.bound_nats[split])
        assert len(words) == spec.num_test_tokens


def test_longer_memories_come_down_to_the_bound(language: Language) -> None:
    words = language.sample(20_000, np.random.PCG64(8))
    exact = -language.log_probabilities(words).mean()
    ideal = [-language.log_probabilities_within(words, num_previous=m).mean() for m in (1, 9, 60)]
    assert ideal[0] > ideal[1] > exact
    assert abs(ideal[2] - exact) < 0.002


def test_long_memory_pays(language: Language, corpus: TextCorpus) -> None:
    words = language.sample(30_000, np.random.PCG64(9))
    ideal = [
        math.exp(-language.log_probabilities_within(words, num_previous=m).mean())
        for m in (0, 1, 4, 19)
    ]
    bound = math.exp(-language.log_probabilities(words).mean())
    unigram, bigram, five_gram, twenty_gram = ideal
    assert unigram > 2 * bigram
    assert bigram > 1.5 * bound
    assert five_gram > 1.15 * bound
    assert twenty_gram < 1.03 * bound
    assert len(corpus.vocabulary) == sum(NUM_WORDS.values())


def test_the_text_is_pinned(corpus: TextCorpus) -> None:
    assert corpus.checksums == {
        "train": "a361616d515245fda61c4e02fb72482efd7fbe2b33d1b7ea0b355e63180fdae4",
        "valid": "86bbda786b7066186641772a4a813812c50e0163a992dfdd8b9e1a56314797d5",
        "test": "ad66a6079d2545335351823f251de194b44ca9410d34beeb44a659702452aa62",
    }
    assert corpus.bound_nats is not None
    assert round(math.exp(corpus.bound_nats["test"]), 3) == 27.228


def test_sentences_and_vocabulary(corpus: TextCorpus) -> None:
    counts = corpus.vocabulary.counts
    assert (np.diff(counts) <= 0).all()
    assert counts.min() > 30
    assert (np.bincount(corpus.splits["train"]) == counts).all()
    end = corpus.vocabulary.index["<eos>"]
    assert corpus.first_input == end
    assert 6 < len(corpus.splits["train"]) / counts[end] < 8  # words a sentence


def test_the_grammar_is_a_distribution() -> None:
    for choices in GRAMMAR:
        assert math.isclose(sum(probability for _, probability, _ in choices), 1)
        assert len({name for name, _, _ in choices}) == len(choices)
        assert all(name in NUM_WORDS and state < len(GRAMMAR) for name, _, state in choices)


def test_uniform_numbers_are_made_of_raw_bits() -> None:
    # The first raw outputs of PCG64 seeded with 1, which numpy keeps for ever.
    assert uniform(np.random.PCG64(1), 2).tolist() == [0.5118216247002567, 0.9504636963259353]
