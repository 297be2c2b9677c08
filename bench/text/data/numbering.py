"""From text to numbers in the order of first occurrence, then to a vocabulary by frequency."""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from bench.core.errors import BenchError
from bench.text.data.reading import Part, line_of, read_blocks
from bench.text.data.specification import TextSpec

Raw = npt.NDArray[np.int32]
Ids = npt.NDArray[np.int64]


class Numbering:
    """Numbers the symbols of any number of texts by first occurrence, all in one numbering."""

    def __init__(self, spec: TextSpec) -> None:
        self.spec = spec
        self._number: defaultdict[str, int] = defaultdict(itertools.count().__next__)

    @property
    def symbols(self) -> list[str]:
        """The symbols met so far; a symbol's place is its number."""
        return list(self._number)

    def read(self, part: Part) -> Raw:
        """The symbols of one split as numbers [N].

        Raises BenchError for text without a word, and for text that already holds the symbol that
        the card puts in (the end of sentence; a character corpus's space).
        """
        number = self._words if self.spec.unit == "word" else self._characters
        return np.concatenate([number(text) for text in self._lines(part)])

    def _lines(self, part: Part) -> Iterator[str]:
        marks = (self.spec.end_of_sentence, self.spec.space if self.spec.unit == "char" else None)
        blank, ended = True, True
        for text in read_blocks(part, unit=self.spec.unit):
            for mark in marks:
                if mark is not None and mark in text:
                    raise _reserved(part, mark, self.spec)
            blank = blank and not text.strip()
            ended = text.endswith("\n")
            yield text
        if blank:
            raise BenchError(f"{part.path} holds no words: put the corpus's own file in its place")
        if self.spec.end_of_sentence is not None and not ended:
            yield "\n"

    def _words(self, text: str) -> Raw:
        if self.spec.end_of_sentence is not None:
            text = text.replace("\n", f" {self.spec.end_of_sentence} ")
        words = text.split()
        return np.fromiter(map(self._number.__getitem__, words), np.int32, len(words))

    def _characters(self, text: str) -> Raw:
        text = "\n".join(self.spec.space.join(line.split()) for line in text.split("\n"))
        number_of_code_point = np.zeros(sys.maxunicode + 1, np.int32)
        for character in dict.fromkeys(text):  # in the order of first occurrence
            symbol = self.spec.end_of_sentence if character == "\n" else character
            number_of_code_point[ord(character)] = self._number[str(symbol)]
        return number_of_code_point[np.frombuffer(text.encode("utf-32-le"), np.uint32)]

    def vocabulary(self, texts: Iterable[Raw]) -> tuple[tuple[str, ...], Ids, Ids]:
        """The symbols by descending frequency in `texts`, their counts, and the way there.

        The third is int64 [all symbols met]: the vocabulary's number of each, -1 for one that is
        not in it. Rare symbols are counted as the unknown symbol.
        """
        symbols = self.symbols
        counts = np.zeros(len(symbols), np.int64)
        for raw in texts:
            counts += np.bincount(raw, minlength=len(symbols))
        rare = counts < self.spec.vocabulary.minimum_count
        for special in (self.spec.end_of_sentence, self.spec.unknown):
            if special is not None and special in self._number:
                rare[self._number[special]] = False
        num_rare = int(counts[rare].sum())
        if num_rare and self.spec.unknown is not None:
            if self.spec.unknown not in self._number:
                symbols.append(self.spec.unknown)
                counts, rare = np.append(counts, 0), np.append(rare, False)
            counts[symbols.index(self.spec.unknown)] += num_rare
        kept = np.flatnonzero(~rare & (counts > 0))
        kept = kept[np.argsort(-counts[kept], kind="stable")]
        number_of = np.full(len(symbols), -1, np.int64)
        number_of[kept] = np.arange(len(kept))
        return tuple(symbols[i] for i in kept), counts[kept], number_of


def _reserved(part: Part, mark: str, spec: TextSpec) -> BenchError:
    line = line_of(part, mark, unit="char")
    meaning = "each end of line" if mark == spec.end_of_sentence else "each blank"
    return BenchError(
        f"{part.path}, line {line}: the text holds {mark!r}, which stands for {meaning}; "
        "remove it from the text or choose another symbol"
    )
