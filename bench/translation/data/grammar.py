"""Synchronous grammar: sentences of one invented language and their one right translation.

    source  S  -> [then | soon] NP [not] V NP
            NP -> the|an  A*  N[s]  (P  the|an A* N[s])  (that V NP)
    target  S  -> [ne] NP NP V+tense+ending
            NP -> l|m+ending  N[s]  A+ending*  (l|m+ending N[s] A+ending*  P)  (ke NP V+ending)

The target puts adjectives behind their noun, prepositions behind their phrase, verbs behind their
object and negation first. The first word of the source decides the tense of the target's last. A
target noun is masculine or feminine, which no source word shows; determiners, adjectives and verbs
end in its gender and number (-o, -a, -i, -e), a verb in those of its subject: of the head noun,
however many other nouns stand between. A phrase follows its noun at once and holds no clause, so a
source sentence has one parse, and one translation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.data.random import uniform
from bench.translation.data.specification import SyntheticTranslationSpec

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
DETERMINERS = {"the": "l", "an": "m"}
PREPOSITIONS = {"in": "su", "by": "de", "near": "pe", "under": "ro"}
TENSES = {"": "", "then": "v", "soon": "r"}
NOT, THAT = ("not", "ne"), ("that", "ke")
NEGATED_SHARE, PLURAL_SHARE = 0.2, 0.4
ENDINGS = {(False, False): "o", (True, False): "a", (False, True): "i", (True, True): "e"}
"""(feminine, plural) -> ending."""
Draw = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class NounPhrase:
    """Noun with its modifiers; nouns, adjectives and verbs are source stems."""

    determiner: str
    adjectives: tuple[str, ...]
    noun: str
    plural: bool
    phrase: tuple[str, NounPhrase] | None = None
    """Preposition and its object."""
    clause: tuple[str, NounPhrase] | None = None
    """Verb and object of a relative clause."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """Parse of a source sentence."""

    tense: str
    subject: NounPhrase
    negated: bool
    verb: str
    object: NounPhrase


@dataclass(frozen=True, kw_only=True, eq=False)
class Grammar:
    """Both languages: source stem -> target stem for each class of words."""

    spec: SyntheticTranslationSpec
    nouns: dict[str, str]
    verbs: dict[str, str]
    adjectives: dict[str, str]
    feminine: frozenset[str]
    """Source stems of the nouns whose target is feminine."""

    def sentence(self, draw: Draw) -> Sentence:
        """Draw a sentence from uniform numbers in [0, 1); earlier stems are commoner."""
        return Sentence(
            tense=_pick(list(TENSES), draw()),
            subject=self._noun_phrase(draw, depth=0),
            negated=draw() < NEGATED_SHARE,
            verb=_pick_skewed(list(self.verbs), draw()),
            object=self._noun_phrase(draw, depth=0),
        )

    def _noun_phrase(self, draw: Draw, *, depth: int, simple: bool = False) -> NounPhrase:
        spec, phrase, clause = self.spec, None, None
        determiner = _pick(list(DETERMINERS), draw())
        adjectives: list[str] = []
        while len(adjectives) < 2 and draw() < spec.adjective_share:
            adjectives.append(_pick_skewed(list(self.adjectives), draw()))
        noun, plural = _pick_skewed(list(self.nouns), draw()), draw() < PLURAL_SHARE
        if not simple and draw() < spec.phrase_share:
            preposition = _pick(list(PREPOSITIONS), draw())
            phrase = (preposition, self._noun_phrase(draw, depth=depth, simple=True))
        if not simple and depth < spec.max_depth and draw() < spec.clause_share:
            verb = _pick_skewed(list(self.verbs), draw())
            clause = (verb, self._noun_phrase(draw, depth=depth + 1))
        return NounPhrase(
            determiner=determiner,
            adjectives=tuple(adjectives),
            noun=noun,
            plural=plural,
            phrase=phrase,
            clause=clause,
        )

    def source(self, sentence: Sentence) -> list[str]:
        """Words of the sentence in the source language."""
        words = [sentence.tense] if sentence.tense else []
        words += self._source(sentence.subject)
        words += [NOT[0]] if sentence.negated else []
        return [*words, sentence.verb, *self._source(sentence.object)]

    def _source(self, phrase: NounPhrase) -> list[str]:
        noun = phrase.noun + "s" * phrase.plural
        words = [phrase.determiner, *phrase.adjectives, noun]
        if phrase.phrase is not None:
            words += [phrase.phrase[0], *self._source(phrase.phrase[1])]
        if phrase.clause is not None:
            words += [THAT[0], phrase.clause[0], *self._source(phrase.clause[1])]
        return words

    def target(self, sentence: Sentence) -> list[str]:
        """Words of the sentence in the target language."""
        words = [NOT[1]] if sentence.negated else []
        words += self._target(sentence.subject) + self._target(sentence.object)
        tense = TENSES[sentence.tense]
        return [*words, self.verbs[sentence.verb] + tense + self._ending(sentence.subject)]

    def _target(self, phrase: NounPhrase) -> list[str]:
        ending = self._ending(phrase)
        words = [DETERMINERS[phrase.determiner] + ending]
        words.append(self.nouns[phrase.noun] + "s" * phrase.plural)
        words += [self.adjectives[stem] + ending for stem in phrase.adjectives]
        if phrase.phrase is not None:
            words += [*self._target(phrase.phrase[1]), PREPOSITIONS[phrase.phrase[0]]]
        if phrase.clause is not None:
            verb, object_ = phrase.clause
            words += [THAT[1], *self._target(object_), self.verbs[verb] + ending]
        return words

    def _ending(self, phrase: NounPhrase) -> str:
        return ENDINGS[phrase.noun in self.feminine, phrase.plural]

    def source_words(self) -> list[str]:
        """Every word that a source sentence may hold."""
        nouns = [stem + number for stem in self.nouns for number in ("", "s")]
        small = [*DETERMINERS, *PREPOSITIONS, *filter(None, TENSES), NOT[0], THAT[0]]
        return [*small, *nouns, *self.verbs, *self.adjectives]

    def target_words(self) -> list[str]:
        """Every word that a target sentence may hold."""
        ends = list(ENDINGS.values())
        small = [stem + end for stem in DETERMINERS.values() for end in ends]
        small += [*PREPOSITIONS.values(), NOT[1], THAT[1]]
        nouns = [stem + number for stem in self.nouns.values() for number in ("", "s")]
        verbs = [v + t + end for v in self.verbs.values() for t in TENSES.values() for end in ends]
        return [*small, *nouns, *verbs, *(a + e for a in self.adjectives.values() for e in ends)]


def make_grammar(spec: SyntheticTranslationSpec) -> Grammar:
    """Build both languages from a card; its seed decides words and genders."""
    stream = np.random.PCG64(spec.seed)
    sizes = (spec.num_nouns, spec.num_verbs, spec.num_adjectives)
    sources = _stems(stream, (CONSONANTS, VOWELS) * 2, sum(sizes))
    targets = _stems(stream, (CONSONANTS, VOWELS, CONSONANTS, VOWELS, CONSONANTS), sum(sizes))
    pairs = iter(zip(sources, targets, strict=True))
    nouns, verbs, adjectives = (dict(next(pairs) for _ in range(size)) for size in sizes)
    order = np.argsort(uniform(stream, len(nouns)))
    feminine = frozenset(np.array(list(nouns))[order[: len(nouns) // 2]].tolist())
    return Grammar(spec=spec, nouns=nouns, verbs=verbs, adjectives=adjectives, feminine=feminine)


def _stems(stream: np.random.PCG64, letters: Sequence[str], number: int) -> list[str]:
    """Draw distinct words with one letter of each set in turn."""
    sizes = [len(choice) for choice in letters]
    order = np.argsort(uniform(stream, math.prod(sizes)), kind="stable")[:number]
    places = np.stack(np.unravel_index(order, sizes), axis=1)
    return ["".join(letters[k][place] for k, place in enumerate(row)) for row in places.tolist()]


def _pick(words: Sequence[str], u: float) -> str:
    return words[int(u * len(words))]


def _pick_skewed(words: Sequence[str], u: float) -> str:
    """Pick the r-th of n words with probability sqrt(r / n) - sqrt((r - 1) / n)."""
    return words[int(u * u * len(words))]
