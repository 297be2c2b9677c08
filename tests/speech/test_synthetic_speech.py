"""Generated speech: the grammar is exact, the sound is the same each time and tells its phones."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from bench.core.cards import read_card
from bench.speech.data.corpus import SpeechCorpus, Utterance
from bench.speech.data.features import filter_bank
from bench.speech.data.specification import SyntheticSpeechSpec
from bench.speech.data.synthesis import ALIKE, NEXT_CLASS, SOUNDS, speaker_traits
from bench.speech.data.synthetic import LABELS, NAMES, SOUND_OF, Grammar, draw, make_grammar

CARD = Path(__file__).parents[2] / "tasks" / "synthetic-speech.yaml"


@pytest.fixture(scope="module")
def spec() -> SyntheticSpeechSpec:
    corpus = read_card(CARD).corpus
    assert isinstance(corpus, SyntheticSpeechSpec)
    return corpus


@pytest.fixture(scope="module")
def grammar(spec: SyntheticSpeechSpec) -> Grammar:
    return make_grammar(spec)


@pytest.fixture(scope="module")
def corpus(spec: SyntheticSpeechSpec) -> SpeechCorpus:
    return draw(spec)


def test_the_corpus_is_pinned(corpus: SpeechCorpus) -> None:
    assert corpus.labels_sha256() == (
        "7a2fa63a37f13de466f9ba3ee0b4f7ec8881d257251de20b099621820d9b9c14"
    )
    sizes = {split: len(utterances) for split, utterances in corpus.splits.items()}
    assert sizes == {"train": 480, "valid": 120, "test": 120}
    assert len(corpus.labels) == 29


def test_the_grammar_is_a_distribution(grammar: Grammar) -> None:
    assert grammar.following.sum(axis=1) == pytest.approx(np.ones(1 + len(NAMES)))
    assert (np.diagonal(grammar.following[1:]) == 0).all()  # no sound follows itself
    for row in NEXT_CLASS.values():
        assert math.isclose(sum(row.values()), 1)
    for before in (None, *LABELS):
        total = sum(grammar.label_probability(label, before) for label in LABELS)
        assert math.isclose(total, 1)


def test_labels_follow_the_grammar(spec: SyntheticSpeechSpec, grammar: Grammar) -> None:
    many = msgspec.structs.replace(
        spec,
        num_speakers={"train": 100, "valid": 1, "test": 1},
        utterances_per_speaker=30,
    )
    utterances = draw(many).splits["train"]
    pairs = Counter(pair for u in utterances for pair in itertools.pairwise(u.labels))
    before = Counter(phone for u in utterances for phone in u.labels[:-1])
    for label, number in before.items():
        for other in LABELS:
            expected = grammar.label_probability(other, label)
            error = math.sqrt(expected * (1 - expected) / number)
            assert abs(pairs[label, other] / number - expected) <= 5 * error + 1e-9
    lengths = Counter(len(u.labels) for u in utterances)
    assert set(lengths) == set(range(8, 25))
    assert max(lengths.values()) < 1.5 * min(lengths.values())


def test_the_entropy_is_the_grammars(
    corpus: SpeechCorpus, grammar: Grammar, spec: SyntheticSpeechSpec
) -> None:
    assert corpus.bound_nats is not None
    stationary = np.linalg.matrix_power(grammar.following[1:], 200)[0]
    sound = -sum(
        weight * p * math.log(p)
        for weight, row in zip(stationary, grammar.following[1:], strict=True)
        for p in row
        if p
    )
    q = spec.rarer_share
    choice = -(q * math.log(q) + (1 - q) * math.log(1 - q))
    alike = sum(weight for weight, name in zip(stationary, NAMES, strict=True) if name in ALIKE)
    for split in ("valid", "test"):
        assert corpus.bound_nats[split] == pytest.approx(sound + alike * choice, abs=0.06)


def test_the_bound_is_what_an_ideal_listener_scores(
    corpus: SpeechCorpus, spec: SyntheticSpeechSpec
) -> None:
    assert corpus.bound_error_percent is not None
    for split in ("valid", "test"):
        wrong = num = alike = 0
        for utterance in corpus.splits[split]:
            heard = [SOUND_OF[phone] for phone in utterance.labels]
            wrong += sum(a != b for a, b in zip(heard, utterance.labels, strict=True))
            alike += sum(sound in ALIKE for sound in heard)
            num += len(heard)
        assert corpus.bound_error_percent[split] == 100 * (wrong / num)
        error = math.sqrt(spec.rarer_share * (1 - spec.rarer_share) / alike)
        assert abs(wrong / alike - spec.rarer_share) < 3 * error


def edit_distance(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        last, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (left != right))
    return row[-1]


@pytest.mark.parametrize(
    "heard", [("ah",), ("ah", "s", "ah"), ("ih", "n", "ah", "s"), ("ah", "m", "ah", "m", "ah")]
)
def test_no_answer_beats_the_commoner_labels(heard: tuple[str, ...]) -> None:
    q = 0.25
    choices = [(sound, ALIKE[sound]) if sound in ALIKE else (sound,) for sound in heard]
    written = [
        (
            labels,
            math.prod(
                q if label in ALIKE.values() else 1 - q
                for label in labels
                if SOUND_OF[label] in ALIKE
            ),
        )
        for labels in itertools.product(*choices)
    ]
    symbols = sorted({label for options in choices for label in options})
    bound = q * sum(sound in ALIKE for sound in heard)
    best = min(
        sum(p * edit_distance(answer, labels) for labels, p in written)
        for size in range(len(heard) + 2)
        for answer in itertools.product(symbols, repeat=size)
    )
    assert best == pytest.approx(bound)
    assert sum(p * edit_distance(heard, labels) for labels, p in written) == pytest.approx(bound)


def test_times_are_those_of_the_sound(corpus: SpeechCorpus) -> None:
    for utterance in corpus.splits["test"][:20]:
        assert utterance.times is not None
        assert len(utterance.times) == len(utterance.labels)
        edges = [first for first, _ in utterance.times] + [utterance.times[-1][1]]
        assert edges == sorted(edges)
        assert edges[0] >= 1600
        assert len(corpus.recordings.samples(utterance)) >= edges[-1] + 1600


def test_the_sound_is_the_same_each_time(corpus: SpeechCorpus, spec: SyntheticSpeechSpec) -> None:
    again = draw(spec)
    one, other = corpus.splits["train"][7], corpus.splits["train"][8]
    samples = corpus.recordings.samples(one)
    assert samples.dtype == np.dtype(np.int16)
    assert (samples == again.recordings.samples(again.splits["train"][7])).all()
    assert corpus.recordings.fingerprint(one) != corpus.recordings.fingerprint(other)
    assert 500 < np.abs(samples.astype(int)).max() <= 32000


def test_another_seed_is_another_corpus(corpus: SpeechCorpus, spec: SyntheticSpeechSpec) -> None:
    other = draw(msgspec.structs.replace(spec, seed=2))
    assert other.labels_sha256() != corpus.labels_sha256()


def test_speakers_differ_and_are_in_one_split(
    corpus: SpeechCorpus, spec: SyntheticSpeechSpec
) -> None:
    speakers = [{u.speaker for u in found} for found in corpus.splits.values()]
    assert [len(names) for names in speakers] == [24, 6, 6]
    assert len(set.union(*speakers)) == 36
    traits = [speaker_traits(spec, number) for number in range(36)]
    assert min(t.pitch_hz for t in traits) < 110 < 200 < max(t.pitch_hz for t in traits)
    factors = sorted(t.formant_factor for t in traits)
    assert factors[0] < 0.98 < 1.08 < factors[-1]


def middles(
    corpus: SpeechCorpus, utterances: tuple[Utterance, ...]
) -> tuple[npt.NDArray[np.float64], list[str]]:
    """The frame in the middle of each phone, less the utterance's mean; and the sound."""
    rows, sounds = [], []
    for utterance in utterances:
        samples = corpus.recordings.samples(utterance)
        frames = filter_bank(samples, corpus.recipe, sample_rate_hz=16000).astype(np.float64)
        assert utterance.times is not None
        for phone, (first, end) in zip(utterance.labels, utterance.times, strict=True):
            rows.append(frames[((first + end) // 2 - 200) // 160] - frames.mean(axis=0))
            sounds.append(SOUND_OF[phone])
    return np.array(rows), sounds


def test_the_sound_tells_the_phone_across_speakers(corpus: SpeechCorpus) -> None:
    x_NC, heard = middles(corpus, corpus.splits["train"][::6])
    y_NC, spoken = middles(corpus, corpus.splits["test"][::4])
    assert set(heard) == set(SOUNDS)
    centroids = {
        sound: x_NC[[s == sound for s in heard]].mean(axis=0) for sound in sorted(set(heard))
    }
    deviation = x_NC.std(axis=0)
    far = [(((y_NC - c) / deviation) ** 2).sum(axis=1) for c in centroids.values()]
    found = np.array(list(centroids))[np.argmin(far, axis=0)]
    chance = max(Counter(spoken).values()) / len(spoken)
    assert chance < 0.12
    assert 0.75 < np.mean(found == np.array(spoken)) < 0.97  # far above chance, and no gift
