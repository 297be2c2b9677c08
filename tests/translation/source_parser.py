"""A parser of the synthetic source language: what its grammar has to be read as."""

from __future__ import annotations

from collections.abc import Sequence

from bench.translation.data.grammar import PREPOSITIONS, Grammar, NounPhrase, Sentence


class Parser:
    """Reads a source sentence from the left, a word ahead, and never goes back."""

    def __init__(self, grammar: Grammar, words: Sequence[str]) -> None:
        self.grammar, self.words = grammar, [*words, ""]

    def take(self) -> str:
        return self.words.pop(0)

    def sentence(self) -> Sentence:
        tense = self.take() if self.words[0] in ("then", "soon") else ""
        subject = self.noun_phrase()
        negated = self.words[0] == "not" and bool(self.take())
        verb = self.take()
        found = Sentence(
            tense=tense, subject=subject, negated=negated, verb=verb, object=self.noun_phrase()
        )
        assert self.words == [""]
        return found

    def noun_phrase(self) -> NounPhrase:
        determiner, adjectives = self.take(), []
        while self.words[0] in self.grammar.adjectives:
            adjectives.append(self.take())
        noun = self.take()
        plural = noun not in self.grammar.nouns
        phrase = clause = None
        if self.words[0] in PREPOSITIONS:
            phrase = (self.take(), self.noun_phrase_alone())
        if self.words[0] == "that":
            self.take()
            clause = (self.take(), self.noun_phrase())
        return NounPhrase(
            determiner=determiner,
            adjectives=tuple(adjectives),
            noun=noun.removesuffix("s") if plural else noun,
            plural=plural,
            phrase=phrase,
            clause=clause,
        )

    def noun_phrase_alone(self) -> NounPhrase:
        """Of a prepositional phrase: what follows belongs to the noun before it."""
        determiner, adjectives = self.take(), []
        while self.words[0] in self.grammar.adjectives:
            adjectives.append(self.take())
        noun = self.take()
        plural = noun not in self.grammar.nouns
        return NounPhrase(
            determiner=determiner,
            adjectives=tuple(adjectives),
            noun=noun.removesuffix("s") if plural else noun,
            plural=plural,
        )
