"""Pairs of lines become a corpus: words are cut, segmenters learned on training text, ids made.

Pairs -> words (cached) -> segmenters of both sides (training text only) -> PairSplit
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.data.lines import Lines
from bench.data.segmentation import Segmenter, Words, learn_words
from bench.translation.data.corpus import PairSplit
from bench.translation.data.pairs import Pairs
from bench.translation.data.specification import Segments, TokenisationSpec, WordSegments
from bench.translation.data.store import kept
from bench.translation.data.subwords import Subwords, flattened, learn_subwords
from bench.translation.data.tokenisation import Form, Tokeniser

Progress = Callable[[int, int], None]
Both = tuple[Lines, Lines]
REPORT_LINES = 1000


class Assembly:
    """Makes the splits of one corpus.

    `learn` comes first. `progress` is told how many of `num_lines` are cut into words, and
    nothing of what the cache holds already.
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
        self.tokenisers = tuple(Tokeniser(tokenisation, language) for language in languages)
        self.segments, self.cache = segments, cache
        self.num_lines, self.num_cut, self.progress = num_lines, 0, progress
        self.segmenters: tuple[Words, Words] | tuple[Subwords, Subwords] | None = None

    @property
    def source(self) -> Segmenter:
        """Of the source's side."""
        assert self.segmenters is not None
        return self.segmenters[0]

    @property
    def target(self) -> Segmenter:
        """Of the target's side."""
        assert self.segmenters is not None
        return self.segmenters[1]

    def learn(
        self, train: Sequence[Pairs], known: tuple[Sequence[str], Sequence[str]] = ((), ())
    ) -> None:
        """Learn both vocabularies; `known` words are part of them whatever the text holds."""
        segments, (first, second) = self.segments, self.tokenisers
        words = self._words(train)
        if isinstance(segments, WordSegments):
            least = segments.minimum_count
            self.segmenters = (
                learn_words(first, words[0], segments.num_source, least, known=known[0]),
                learn_words(second, words[1], segments.num_target, least, known=known[1]),
            )
            return
        if segments.text == "plain":
            plain = joined(train)
            words = (Lines.of(map(flattened, plain[0])), Lines.of(map(flattened, plain[1])))
        self.segmenters = learn_subwords(segments, (first, second), words, cache=self.cache)

    def split(self, pairs: Sequence[Pairs]) -> PairSplit:
        """Pairs as text, words and ids."""
        text, words = joined(pairs), self._words(pairs)
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
        assert self.segmenters is not None
        first, second = self.segmenters
        return {"source vocabulary": first.sha256(), "target vocabulary": second.sha256()}

    def _words(self, pairs: Sequence[Pairs]) -> Both:
        first, second = self.tokenisers
        return (
            Lines.joined([self._cut(first, part.source, part.form) for part in pairs]),
            Lines.joined([self._cut(second, part.target, part.form) for part in pairs]),
        )

    def _cut(self, tokeniser: Tokeniser, lines: Lines, form: Form) -> Lines:
        """Each line's words between blanks; what Moses' rules cut is kept in the cache."""

        def make() -> bytes:
            return Lines.of(self._cut_lines(tokeniser, lines, form)).content

        if tokeniser.spec.words == "blanks" or form == "words":
            return Lines.split(make())
        recipe = {"what": "words", **tokeniser.recipe, "lines": lines.sha256()}
        return Lines.split(kept(self.cache, recipe, make))

    def _cut_lines(self, tokeniser: Tokeniser, lines: Lines, form: Form) -> list[str]:
        found = []
        for number, line in enumerate(lines, start=1):
            found.append(" ".join(tokeniser.words(line, form=form)))
            if self.progress and (number % REPORT_LINES == 0 or number == len(lines)):
                self.progress(self.num_cut + number, max(self.num_lines, self.num_cut + number))
        self.num_cut += len(lines)
        return found


def joined(pairs: Sequence[Pairs]) -> Both:
    """The lines of all parts, source and target."""
    return Lines.joined([p.source for p in pairs]), Lines.joined([p.target for p in pairs])
