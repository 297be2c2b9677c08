"""Generated speech: phones of a known grammar, spoken by speakers who differ.

    sounds     t  r  ay  n  ah  s  ...      P(next sound | sound): by class, weights from the seed
    labels     t  r  ay  n  ax  s  ...      ah is written ax, and ih ix, with probability q
    speech     see `bench.speech.data.synthesis`

The labels of ah and ih depend on nothing that can be heard, so even an ideal recogniser does best
to write the commoner label, and is wrong in a share q of these sounds. That share of a split's
phones is its `bound_error_percent`: no recogniser can expect to be better, one that is better on a
split was lucky there. The grammar looks one label back, so a sequence of labels has an exact
probability; the mean of -log P(label | label before) is `bound_nats`.

Shapes: K sounds, U labels.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.core.splits import SPLITS
from bench.data.random import uniform
from bench.speech.data.corpus import SpeechCorpus, Utterance
from bench.speech.data.specification import SyntheticSpeechSpec
from bench.speech.data.synthesis import ALIKE, NEXT_CLASS, SOUNDS, Synthesiser, speaker_traits

Floats = npt.NDArray[np.float64]
NAMES = tuple(SOUNDS)
LABELS = (*SOUNDS, *ALIKE.values())
SOUND_OF = {**{name: name for name in SOUNDS}, **{rare: name for name, rare in ALIKE.items()}}
PAUSE_MS = (100.0, 200.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Grammar:
    """P(next sound | sound): row 0 is the beginning, row 1 + i follows sound i [1 + K, K]."""

    following: Floats
    rarer_share: float

    def label_probability(self, label: str, before: str | None) -> float:
        """P(label | label before), None at the beginning."""
        row = 0 if before is None else 1 + NAMES.index(SOUND_OF[before])
        sound = SOUND_OF[label]
        share = 1.0
        if sound in ALIKE:
            share = self.rarer_share if label != sound else 1 - self.rarer_share
        return float(self.following[row, NAMES.index(sound)]) * share

    def nats(self, labels: tuple[str, ...]) -> list[float]:
        """-log P(label | labels before) of each label of an utterance."""
        before = (None, *labels[:-1])
        return [
            -math.log(self.label_probability(label, last))
            for label, last in zip(labels, before, strict=True)
        ]


def make_grammar(spec: SyntheticSpeechSpec) -> Grammar:
    """Grammar of a card, whose seed draws how often one sound follows another."""
    weights = uniform(np.random.PCG64(spec.seed), (1 + len(NAMES)) * len(NAMES)) ** 2 + 0.01
    following = weights.reshape(1 + len(NAMES), len(NAMES))
    kinds = [SOUNDS[name].kind for name in NAMES]
    for row, kind in enumerate([None, *kinds]):
        for other in set(kinds):
            members = [place for place, found in enumerate(kinds) if found == other]
            total = following[row, members].sum()
            following[row, members] *= NEXT_CLASS[kind].get(other, 0.0) / total
    return Grammar(following=following, rarer_share=spec.rarer_share)


def draw(spec: SyntheticSpeechSpec) -> SpeechCorpus:
    """Corpus of a card, the same on every machine; its sound is generated when it is used."""
    grammar = make_grammar(spec)
    speakers = itertools.count()
    splits = {}
    for place, split in enumerate(SPLITS, start=1):
        source = np.random.PCG64(spec.seed).jumped(place)
        numbers = list(itertools.islice(speakers, spec.num_speakers[split]))
        splits[split] = tuple(
            _utterance(spec, grammar, number, turn, source)
            for number in numbers
            for turn in range(spec.utterances_per_speaker)
        )
    labels = {split: [u.labels for u in splits[split]] for split in ("valid", "test")}
    is_rarer = {
        split: [label in ALIKE.values() for phones in each for label in phones]
        for split, each in labels.items()
    }
    return SpeechCorpus(
        labels=LABELS,
        folding={label: label for label in LABELS},
        splits=splits,
        recordings=Synthesiser(spec=spec),
        recipe=spec.features,
        bound_error_percent={s: 100 * (sum(each) / len(each)) for s, each in is_rarer.items()},
        bound_nats={
            split: float(np.mean([nats for phones in each for nats in grammar.nats(phones)]))
            for split, each in labels.items()
        },
    )


def _utterance(
    spec: SyntheticSpeechSpec, grammar: Grammar, speaker: int, turn: int, source: np.random.PCG64
) -> Utterance:
    more = spec.num_phones_max - spec.num_phones_min + 1
    num_phones = spec.num_phones_min + int(uniform(source, 1)[0] * more)
    u_U3 = uniform(source, 3 * num_phones).reshape(num_phones, 3)
    sounds, row = [], 0
    for u in u_U3[:, 0]:
        cumulative = np.cumsum(grammar.following[row])
        number = int(np.searchsorted(cumulative, u * cumulative[-1], side="right"))
        sounds.append(NAMES[number])
        row = 1 + number
    rare_U = u_U3[:, 1] < spec.rarer_share
    phones = (ALIKE.get(s, s) if rare else s for s, rare in zip(sounds, rare_U, strict=True))
    rate = speaker_traits(spec, speaker).rate
    durations = [
        (0.7 + 0.6 * u) * SOUNDS[sound].duration_ms / rate
        for sound, u in zip(sounds, u_U3[:, 2], strict=True)
    ]
    pause = PAUSE_MS[0] + (PAUSE_MS[1] - PAUSE_MS[0]) * float(uniform(source, 1)[0])
    edges_ms = np.cumsum([pause, *durations])
    edges = (edges_ms * spec.sample_rate_hz / 1000).astype(int).tolist()
    return Utterance(
        id=f"s{speaker:03}-{turn:03}",
        speaker=f"s{speaker:03}",
        labels=tuple(phones),
        times=tuple(itertools.pairwise(edges)),
    )
