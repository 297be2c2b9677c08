"""What a translation model made of each sentence, kept beside a run's weights.

    translations-test.jsonl    which BLEU it is and the search, then a line a sentence:
                               source, reference, hypothesis, log-probabilities, rarity

Needs neither weights nor torch, so that comparing runs and looking at their errors is quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.core.json_lines import read_json_lines, write_json_lines
from bench.translation.metrics.translation import (
    BleuProtocol,
    Case,
    SentenceCounts,
    Text,
    count_sentences,
)


class TranslatedSentence(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence and what was made of it."""

    source: str
    reference: str
    hypothesis: str
    reference_words: str
    """Words as the task cuts them, between blanks; so are the next."""
    hypothesis_words: str
    reference_nats: float
    """-log p(reference | source)."""
    hypothesis_nats: float
    mean_rank: float
    """Of the source's words among those of the training text; 1 is the most frequent."""
    fewest: int
    """How often the rarest word of the source stands in the training text."""


class TranslationsHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of translations."""

    signature: str
    text: Text
    case: Case
    tokeniser: str | None
    unknown: str
    search: str


@dataclass(frozen=True, kw_only=True)
class Translations:
    """All sentences of a split, in the corpus's order."""

    header: TranslationsHeader
    lines: Sequence[TranslatedSentence]

    def counts(self) -> SentenceCounts:
        """The n-gram counts, sentence by sentence."""
        plain = self.header.text == "detokenised"
        return count_sentences(
            [line.hypothesis if plain else line.hypothesis_words for line in self.lines],
            [line.reference if plain else line.reference_words for line in self.lines],
            protocol=BleuProtocol(
                text=self.header.text, case=self.header.case, tokeniser=self.header.tokeniser
            ),
        )


def translations_path(folder: Path, split: str) -> Path:
    """Where the translations of a split are kept."""
    return folder / f"translations-{split}.jsonl"


def write_translations(folder: Path, split: str, made: Translations) -> None:
    """Keep them."""
    write_json_lines(translations_path(folder, split), made.header, made.lines)


def read_translations(folder: Path, split: str) -> Translations | None:
    """What was kept; None where nothing was."""
    found = read_json_lines(
        translations_path(folder, split), TranslationsHeader, TranslatedSentence
    )
    return Translations(header=found[0], lines=found[1]) if found else None
