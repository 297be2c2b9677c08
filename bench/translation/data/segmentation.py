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
import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

from bench.data.rows import Rows
from bench.data.tokens import END, NUM_SPECIAL, SPECIAL, START, UNKNOWN
from bench.translation.data.specification import TokenisationSpec

Form = Literal["plain", "words"]
APOSTROPHE = "\u2019"


@dataclass(frozen=True, kw_only=True)
class Masked:
    """Text as Moses' rules can read it, and the way back.

    Moses knows neither combining marks, which it cuts off their letters, nor typographic
    apostrophes. `text` has letters without their marks and plain apostrophes; `parts` holds what
    stands for each of its characters.
    """

    text: str
    parts: tuple[str, ...]

    @classmethod
    def of(cls, text: str, *, typographic: bool) -> Masked:
        """Mask combining marks, and typographic apostrophes if asked to."""
        if text.isascii():
            return cls(text=text, parts=tuple(text))
        parts = _with_marks(text)
        heads = "".join(part[0] for part in parts)
        return cls(text=heads.replace(APOSTROPHE, "'") if typographic else heads, parts=parts)

    def restore(self, apply: Callable[[str], list[str]]) -> list[str]:
        """Apply rules that move blanks only, and put the masked characters back."""
        found = apply(self.text)
        if self.text == "".join(self.parts):
            return found
        pairs = zip(self.parts, self.text, strict=True)
        visible = [(part, head) for part, head in pairs if not head.isspace()]
        heads = [character for piece in found for character in piece if not character.isspace()]
        if heads != [head for _, head in visible]:
            return apply("".join(self.parts))  # rules that change characters: as they read it
        left = iter(part for part, _ in visible)
        return ["".join(c if c.isspace() else next(left) for c in piece) for piece in found]


def _with_marks(text: str) -> tuple[str, ...]:
    """Characters, each with the combining marks behind it."""
    parts: list[str] = []
    for character in text:
        if parts and unicodedata.category(character)[0] == "M":
            parts[-1] += character
        else:
            parts.append(character)
    return tuple(parts)


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
            **({} if self.spec.apostrophes == "moses" else {"apostrophes": self.spec.apostrophes}),
            "marks": "with their letters",
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
        return self._masked(text).restore(lambda text: self._tokeniser.tokenize(text, escape=False))

    def plain(self, words: Sequence[str]) -> str:
        """Join words to running text, spaced as in the language.

        A lower-cased text gets a capital at its beginning; no other case comes back.
        """
        if self.spec.words == "blanks":
            return " ".join(words)
        [text] = self._masked(" ".join(words)).restore(
            lambda text: [self._detokeniser.detokenize(text.split(), unescape=False)]
        )
        return text[:1].upper() + text[1:] if self.spec.case == "lower" else text

    def _masked(self, text: str) -> Masked:
        return Masked.of(text, typographic=self.spec.apostrophes == "typographic")

    # sacremoses has no types and is slow to import, so it is imported at the first use.

    @cached_property
    def _tokeniser(self) -> Any:
        from sacremoses import MosesTokenizer  # type: ignore[import-untyped]

        return MosesTokenizer(self._moses_language)

    @cached_property
    def _detokeniser(self) -> Any:
        from sacremoses import MosesDetokenizer

        return MosesDetokenizer(self._moses_language)

    @cached_property
    def _normaliser(self) -> Any:
        from sacremoses import MosesPunctNormalizer

        # Multi30k's own tokenised text came out of the Perl script, whose quirks are kept.
        return MosesPunctNormalizer(self._moses_language, perl_parity=True)

    @property
    def _moses_language(self) -> str:
        """Language without script and region, for which Moses has no rules of their own."""
        return re.split("[-_]", self.language)[0].lower()


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
