"""Translations that an evaluation leaves beside a run's weights.

    translations-test.jsonl    a header: metric and search; then a line for each sentence: source,
                               reference, hypothesis, log-probabilities, rarity of the words

Needs neither weights nor torch, so that comparing runs and looking at their errors is quick.

Shapes: U sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np

from bench.core.aligned import aligned
from bench.core.statistics import CONFIDENCE
from bench.runs.error_curves import Curve, alike, curve, powers
from bench.runs.outputs import (
    ErrorOptions,
    ErrorReport,
    LineOutputs,
    Sample,
    SampleTable,
    SampleWord,
    refuse_blocks,
)
from bench.translation.metrics import (
    BleuProtocol,
    Case,
    ReplaceUnknown,
    SentenceCounts,
    Text,
    count_sentences,
    words_13a,
)

TOLERANCE_PERCENT = 0.05
"""A sentence or two of a thousand may come out otherwise on a machine that rounds otherwise."""
LENGTH, RANK, FEWEST = (
    "words of the source",
    "mean rank of the source's words",
    "occurrences of the source's rarest word in training",
)
"""Groupings of `bench errors`: length as in D. Bahdanau, K. Cho and Y. Bengio (2015), figure 2;
length and mean rank as in I. Sutskever, O. Vinyals and Q. Le (2014), figure 3."""


class TranslatedSentence(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence and its translation."""

    source: str
    reference: str
    hypothesis: str
    reference_words: str
    """Words of the task's protocol between blanks, as in `hypothesis_words`."""
    hypothesis_words: str
    reference_nats: float
    """-log p(reference | source)."""
    hypothesis_nats: float
    mean_rank: float
    """Mean frequency rank of the source's words in the training text; 1 is the most frequent."""
    fewest: int
    """Occurrences of the source's rarest word in the training text."""


class TranslationsHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Definition of the metric, and name of the search."""

    signature: str
    text: Text
    case: Case
    tokeniser: str | None
    unknown: ReplaceUnknown
    search: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Translations(LineOutputs[TranslationsHeader, TranslatedSentence]):
    """Translations of a split."""

    noun: ClassVar[str] = "translations"
    stem: ClassVar[str] = "translations"
    header_type = TranslationsHeader
    line_type = TranslatedSentence

    def value(self) -> float:
        return self.units().value

    def tolerance(self, expected: float) -> float:
        return TOLERANCE_PERCENT

    def units(self, block_length: int | None = None) -> SentenceCounts:
        refuse_blocks(block_length, what="translation", unit="sentences")
        plain = self.header.text == "detokenised"
        return count_sentences(
            [line.hypothesis if plain else line.hypothesis_words for line in self.lines],
            [line.reference if plain else line.reference_words for line in self.lines],
            protocol=BleuProtocol(
                text=self.header.text, case=self.header.case, tokeniser=self.header.tokeniser
            ),
        )

    def samples(self) -> SampleTable:
        rows = [
            Sample(
                name=f"sentence {number}",
                source=line.source,
                references=[line.reference],
                words=[SampleWord(text=line.hypothesis)],
                cells=[line.source, line.reference, line.hypothesis],
            )
            for number, line in enumerate(self.lines, start=1)
        ]
        columns = ["source", "reference", "hypothesis"]
        return SampleTable(columns=columns, rows=rows, noun="sentences")

    def errors(self, options: ErrorOptions) -> ErrorReport:
        curves = self.curves(num_groups=options.num_groups)
        units, header = self.units(), self.header
        parts = [
            f"{options.run} on {options.split}, {units.noun}\n{header.signature}\n"
            f"search {header.search}, BLEU {units.value:.2f}"
        ]
        parts += [f"by {name}\n{_table(groups)}" for name, groups in curves.items()]
        return ErrorReport(
            text="\n\n".join(parts),
            picture=f"bleu-{options.split}.png",
            curves=curves,
            axis="BLEU",
        )

    def curves(self, *, num_groups: int) -> dict[str, Curve]:
        """BLEU by length, mean rank and fewest occurrences, groups in rising order."""
        units = self.units()
        lengths_U = np.array([len(words_13a(line.source)) for line in self.lines], np.float64)
        ranks_U = np.array([line.mean_rank for line in self.lines])
        fewest_U = np.array([line.fewest for line in self.lines], np.float64)
        groups = {
            LENGTH: (lengths_U, alike(lengths_U, num_groups)),
            RANK: (np.round(ranks_U), alike(ranks_U, num_groups)),
            FEWEST: (fewest_U, powers(fewest_U)),
        }
        return {name: curve(units.sums, units.metric, *of) for name, of in groups.items()}


def _table(groups: Curve) -> str:
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
    return aligned(columns, rows)
