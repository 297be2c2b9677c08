"""What a translation model made of each sentence, kept beside a run's weights.

    translations-test.jsonl    which BLEU it is and the search, then a line a sentence:
                               source, reference, hypothesis, log-probabilities, rarity

Needs neither weights nor torch, so that comparing runs and looking at their errors is quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.core.json_lines import read_json_lines, write_json_lines
from bench.core.record import Record
from bench.core.statistics import CONFIDENCE
from bench.core.suite import Suite
from bench.runs.error_curves import Curve, alike, curve, powers
from bench.runs.kept import read_or_make
from bench.translation.metrics import (
    BleuProtocol,
    Case,
    SentenceCounts,
    Text,
    count_sentences,
    words,
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


# What translation models made of a split: read where it was kept, made again elsewhere.
#
# Whatever made it, its BLEU must be the value in the record.


TOLERANCE_PERCENT = 0.05
"""Room for a sentence or two of a thousand that another machine's rounding translates otherwise."""


def kept_translations(
    suite: Suite, record: Record, split: str, *, missing: Literal["make", "leave"] = "make"
) -> Translations:
    """The translations of a finished run.

    Raises BenchError where they are gone and cannot, or with `leave` may not, be made again, and
    where their BLEU is not the record's.
    """
    found = read_or_make(
        suite, record, split, what="translations", read=read_translations, missing=missing
    )
    value, expected = found.counts().value, record.metrics[split]
    path = translations_path(suite.artifacts(record.task, record.id), split)
    if not abs(value - expected) <= TOLERANCE_PERCENT:
        raise BenchError(
            f"{path}: BLEU {value:.2f} where the record {record.id} "
            f"says {expected:.2f}; delete it, or run again with --again"
        )
    return found


# Where translations fail: BLEU over the length of sentences and over the rarity of their words.
#
# Length as in D. Bahdanau, K. Cho and Y. Bengio (2015), figure 2; length and mean rank of the words
# as in I. Sutskever, O. Vinyals and Q. Le (2014), figure 3. Words are those of
# `bench.translation.metrics`.
#
# Shapes: U sentences.


LENGTH, RANK, FEWEST = (
    "words of the source",
    "mean rank of the source's words",
    "occurrences of the source's rarest word in training",
)


def curves(made: Translations, *, num_groups: int) -> dict[str, Curve]:
    """BLEU over length, mean rank and fewest occurrences, each by groups in rising order."""
    counts = made.counts()
    lengths_U = np.array([len(words(line.source)) for line in made.lines], np.float64)
    ranks_U = np.array([line.mean_rank for line in made.lines])
    fewest_U = np.array([line.fewest for line in made.lines], np.float64)
    places = {
        LENGTH: (lengths_U, alike(lengths_U, num_groups)),
        RANK: (np.round(ranks_U), alike(ranks_U, num_groups)),
        FEWEST: (fewest_U, powers(fewest_U)),
    }
    return {name: curve(counts.sums, counts.metric, *at) for name, at in places.items()}


def as_tables(run: str, split: str, made: Translations, found: dict[str, Curve]) -> str:
    """BLEU in all and by group."""
    counts = made.counts()
    header = made.header
    parts = [
        f"{run} on {split}, {counts.noun}\n{header.signature}\n"
        f"search {header.search}, BLEU {counts.value:.2f}"
    ]
    for name, groups in found.items():
        rows = [
            (
                group.label,
                str(group.size),
                f"{group.value:.2f}",
                f"{group.low:.1f} to {group.high:.1f}",
                f"{group.total[0] / max(group.total[1], 1.0):.2f}",
            )
            for group in groups
        ]
        columns = ("group", "sentences", "BLEU", f"{CONFIDENCE:.0%} interval", "length ratio")
        parts.append(f"by {name}\n{aligned(columns, rows)}")
    return "\n\n".join(parts)
