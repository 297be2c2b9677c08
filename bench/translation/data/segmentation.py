"""Text as the symbols that a model reads and writes, and back.

    text       Une femme s'élance !
    tokens     une femme s' élance !                        words of the task's protocol
    pieces     ▁une ▁femme ▁s ' ▁él ance ▁!                 one a symbol; of words, the words
    ids        5 12 40 17 391 88 9

Ids begin with the special symbols of `bench.data.tokens`; then symbols by falling frequency in the
training text of their side, ties by first occurrence.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

from bench.data.rows import Rows
from bench.data.tokens import END, NUM_SPECIAL, SPECIAL, START, UNKNOWN
from bench.translation.data.specification import TokenisationSpec

Form = Literal["plain", "words"]


class Tokeniser:
    """Words of one language's text by the task's protocol: Moses' rules through sacremoses.

    Moses escapes some characters for its own file formats. Nothing is escaped here, and escapes in
    files whose words are already cut are read as the characters that they stand for.
    """

    def __init__(self, spec: TokenisationSpec, language: str) -> None:
        self.spec, self.language = spec, language

    @property
    def name(self) -> str:
        """Rules of the words for a signature; case has a place of its own there."""
        if self.spec.words == "blanks":
            return "blanks"
        normalised = "-normalised" if self.spec.punctuation == "normalised" else ""
        return f"moses-{self.language}{normalised}"

    @property
    def recipe(self) -> dict[str, object]:
        """Settings and versions that the words depend on, apart from the text."""
        return {
            "language": self.language,
            "words": self.spec.words,
            "punctuation": self.spec.punctuation,
            "case": self.spec.case,
            "sacremoses": version("sacremoses"),
        }

    def words(self, text: str, *, form: Form = "plain") -> list[str]:
        """Cut a plain line into words, or apply the protocol to one cut already."""
        if self.spec.case == "lower":
            text = text.lower()
        if form == "words":
            return str(self._detokeniser.unescape_xml(text)).split()
        if self.spec.punctuation == "normalised":
            text = self._normaliser.normalize(text)
        if self.spec.words == "blanks":
            return text.split()
        found: list[str] = self._tokeniser.tokenize(text, escape=False)
        return found

    def plain(self, words: Sequence[str]) -> str:
        """Join words to running text, spaced as in the language.

        A lower-cased text gets a capital at its beginning; no other case comes back.
        """
        if self.spec.words == "blanks":
            return " ".join(words)
        text: str = self._detokeniser.detokenize(list(words), unescape=False)
        return text[:1].upper() + text[1:] if self.spec.case == "lower" else text

    # sacremoses has no types and is slow to import, so it is imported at the first use.

    @cached_property
    def _tokeniser(self) -> Any:
        from sacremoses import MosesTokenizer  # type: ignore[import-untyped]

        return MosesTokenizer(self.language)

    @cached_property
    def _detokeniser(self) -> Any:
        from sacremoses import MosesDetokenizer

        return MosesDetokenizer(self.language)

    @cached_property
    def _normaliser(self) -> Any:
        from sacremoses import MosesPunctNormalizer

        # Multi30k's own tokenised text came out of the Perl script, whose quirks are kept.
        return MosesPunctNormalizer(self.language, perl_parity=True)


class Segmenter(ABC):
    """Symbols of one side: text to ids and back.

    `symbols` is the vocabulary; an id is a place in it.
    """

    def __init__(self, tokeniser: Tokeniser, symbols: Sequence[str]) -> None:
        assert tuple(symbols[:NUM_SPECIAL]) == SPECIAL
        self.tokeniser = tokeniser
        self.symbols = tuple(symbols)
        self.index = {symbol: number for number, symbol in enumerate(symbols)}
        assert len(self.index) == len(self.symbols)
        for symbol in SPECIAL:  # no text may write them
            del self.index[symbol]

    @abstractmethod
    def pieces(self, text: str) -> list[str]:
        """Piece behind each id of `encode(text)`; unknown ones as they are written."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Ids of plain text, without an end."""

    @abstractmethod
    def encode_lines(self, plain: Sequence[str], words: Sequence[str]) -> Rows:
        """Ids of many lines, each given plain and as words between blanks."""

    @abstractmethod
    def decode_pieces(self, pieces: Sequence[str]) -> str:
        """Plain text of pieces, which may be outside the vocabulary."""

    @abstractmethod
    def tokenise_pieces(self, pieces: Sequence[str]) -> str:
        """Words of the protocol between blanks, from pieces that may be outside the vocabulary."""

    def tokens(self, text: str) -> list[str]:
        """Words of plain text as the task's protocol cuts and counts them."""
        return self.tokeniser.words(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Plain text of ids; `<s>` and `</s>` are left out, `<unk>` is written so."""
        return self.decode_pieces(self._symbols_of(ids))

    def tokenised(self, ids: Sequence[int]) -> str:
        """Words of the protocol between blanks, from ids; subwords are put together."""
        return self.tokenise_pieces(self._symbols_of(ids))

    def sha256(self) -> str:
        """Checksum of the vocabulary."""
        return hashlib.sha256("".join(f"{s}\n" for s in self.symbols).encode()).hexdigest()

    def _symbols_of(self, ids: Sequence[int]) -> list[str]:
        return [self.symbols[number] for number in ids if number not in (START, END)]


class Words(Segmenter):
    """Whole words of the protocol as symbols."""

    def pieces(self, text: str) -> list[str]:
        return self.tokens(text)

    def encode(self, text: str) -> list[int]:
        return [self.index.get(word, UNKNOWN) for word in self.tokens(text)]

    def encode_lines(self, plain: Sequence[str], words: Sequence[str]) -> Rows:
        find = self.index.get
        return Rows.of([find(word, UNKNOWN) for word in line.split()] for line in words)

    def decode_pieces(self, pieces: Sequence[str]) -> str:
        return self.tokeniser.plain(pieces)

    def tokenise_pieces(self, pieces: Sequence[str]) -> str:
        return " ".join(pieces)


def learn_words(
    tokeniser: Tokeniser,
    lines: Iterable[str],
    num_words: int | None = None,
    minimum_count: int = 1,
    *,
    known: Sequence[str] = (),
) -> Words:
    """Learn the most frequent words of a training text, given as words between blanks.

    `known` words are part of the vocabulary however rare they are, unseen ones at its end.
    """
    counts = Counter[str]()
    for line in lines:
        counts.update(line.split())
    for special in SPECIAL:
        counts.pop(special, None)
    ordered = sorted(counts, key=lambda word: -counts[word])
    frequent = [word for word in ordered[:num_words] if counts[word] >= minimum_count]
    return Words(tokeniser, list(dict.fromkeys([*SPECIAL, *frequent, *known])))
