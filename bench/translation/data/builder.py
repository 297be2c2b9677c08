"""Pairs of lines to a corpus: words are cut, symbols learned on training text, ids made.

Pairs -> words (cached) -> segmenters of both sides (training text only) -> PairSplit
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from bench.data.lines import Lines
from bench.data.problems import Progress
from bench.translation.data.corpus import Pairs, PairSplit
from bench.translation.data.segmentation import Form, Tokeniser, Words, learn_words
from bench.translation.data.specification import Segments, TokenisationSpec, WordSegments
from bench.translation.data.subwords import Subwords, cached, flattened, learn_subwords

BothSides: TypeAlias = tuple[Lines, Lines]
REPORT_LINES = 1000
"""Lines between two calls of `progress`."""


class CorpusBuilder:
    """Builds the splits of one corpus; `learn` comes first.

    `progress` is called with the number of lines cut into words so far, of `num_lines`; lines whose
    words are in the cache are not counted.
    """

    def __init__(
        self,
        tokenisation: TokenisationSpec,
        languages: tuple[str, str],
        segments: Segments,
        *,
        cache: Path,
        num_lines: int = 0,
        progress: Progress | None = None,
    ) -> None:
        source, target = languages
        self.tokenisers = Tokeniser(tokenisation, source), Tokeniser(tokenisation, target)
        self.segments, self.cache = segments, cache
        self.num_lines, self.num_cut, self.progress = num_lines, 0, progress
        self.source: Words | Subwords
        self.target: Words | Subwords

    def learn(
        self, train: Sequence[Pairs], known: tuple[Sequence[str], Sequence[str]] = ((), ())
    ) -> None:
        """Learn both vocabularies; `known` words of each side are part of them in any case."""
        segments, (first, second) = self.segments, self.tokenisers
        words = self._words(train)
        if isinstance(segments, WordSegments):
            least = segments.minimum_count
            self.source = learn_words(first, words[0], segments.num_source, least, known=known[0])
            self.target = learn_words(second, words[1], segments.num_target, least, known=known[1])
            return
        if segments.text == "plain":
            plain = _joined(train)
            words = (Lines.of(map(flattened, plain[0])), Lines.of(map(flattened, plain[1])))
        self.source, self.target = learn_subwords(
            segments, (first, second), words, cache=self.cache
        )

    def split(self, pairs: Sequence[Pairs]) -> PairSplit:
        """Build a split: text, words and ids."""
        text, words = _joined(pairs), self._words(pairs)
        return PairSplit(
            source_text=text[0],
            target_text=text[1],
            source_words=words[0],
            target_words=words[1],
            source=self.source.encode_lines(text[0], words[0]),
            target=self.target.encode_lines(text[1], words[1]),
        )

    def checksums(self) -> dict[str, str]:
        """sha256 of both vocabularies."""
        return {
            "source vocabulary": self.source.sha256(),
            "target vocabulary": self.target.sha256(),
        }

    def _words(self, pairs: Sequence[Pairs]) -> BothSides:
        first, second = self.tokenisers
        return (
            Lines.joined([self._cut(first, part.source, part.form) for part in pairs]),
            Lines.joined([self._cut(second, part.target, part.form) for part in pairs]),
        )

    def _cut(self, tokeniser: Tokeniser, lines: Lines, form: Form) -> Lines:
        """Cut each line into words between blanks; words by Moses' rules are cached."""

        def make() -> bytes:
            return Lines.of(self._cut_lines(tokeniser, lines, form)).content

        if tokeniser.spec.words == "blanks" or form == "words":
            return Lines.split(make())
        recipe = {"what": "words", **tokeniser.recipe, "lines": lines.sha256()}
        return Lines.split(cached(self.cache, recipe, make))

    def _cut_lines(self, tokeniser: Tokeniser, lines: Lines, form: Form) -> list[str]:
        found = []
        for number, line in enumerate(lines, start=1):
            found.append(" ".join(tokeniser.words(line, form=form)))
            if self.progress and (number % REPORT_LINES == 0 or number == len(lines)):
                self.progress(self.num_cut + number, max(self.num_lines, self.num_cut + number))
        self.num_cut += len(lines)
        return found


def _joined(pairs: Sequence[Pairs]) -> BothSides:
    return Lines.joined([p.source for p in pairs]), Lines.joined([p.target for p in pairs])
