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
"""

from __future__ import annotations

import hashlib

import numpy as np

from bench.core.splits import SPLITS
from bench.data.language import Floats, Language, uniform
from bench.data.rows import Vocabulary
from bench.text.data.corpus import TextCorpus
from bench.text.data.specification import SyntheticTextSpec

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
    """The distribution that a card means: its seed decides which words each topic prefers."""
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
    """The corpus of a card, the same wherever it is drawn, with the bound of valid and test."""
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
