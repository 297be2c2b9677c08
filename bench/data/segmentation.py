"""Text as the symbols that a model reads and writes, and back.

    text       Une femme s'élance !
    tokens     une femme s' élance !                        the protocol's words, whatever is read
    pieces     ▁une ▁femme ▁s ' ▁él ance ▁!                 one a symbol; of words, the words
    ids        5 12 40 17 391 88 9

Ids 0, 1 and 2 are `<unk>`, `<s>` and `</s>`; then symbols by falling frequency in the training
text of their side, ties by first occurrence.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal, Protocol

from bench.data.rows import Rows
from bench.translation.data.specification import NUM_SPECIAL, TokenisationSpec

# Plain text to the words that a task counts, and back: Moses' rules through sacremoses.
#
#     plain     Une femme s'élance, dit-elle : «Oui !»     words     une femme s' élance , dit-elle
# : " oui ! "        case: lower, punctuation: normalised
#
# Moses escapes some characters for its own file formats; nothing is escaped here, and what is
# escaped in a file whose words are cut already is read as the character that it stands for.


Form = Literal["plain", "words"]


class Tokeniser:
    """The words of one language's text as a task's protocol cuts them."""

    def __init__(self, spec: TokenisationSpec, language: str) -> None:
        self.spec, self.language = spec, language

    @property
    def name(self) -> str:
        """What cuts the words, for a signature; their case has a place of its own there."""
        if self.spec.words == "blanks":
            return "blanks"
        normalised = "-normalised" if self.spec.punctuation == "normalised" else ""
        return f"moses-{self.language}{normalised}"

    @property
    def recipe(self) -> dict[str, object]:
        """All that the words depend on beside the text."""
        return {
            "language": self.language,
            "words": self.spec.words,
            "punctuation": self.spec.punctuation,
            "case": self.spec.case,
            "sacremoses": version("sacremoses"),
        }

    def words(self, text: str, *, form: Form = "plain") -> list[str]:
        """The words of a line that is plain, or cut into words already."""
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
        """Words as running text, spaced as the language has it.

        Of lower-cased words the first begins with a capital, as sentences do; no other case comes
        back.
        """
        if self.spec.words == "blanks":
            return " ".join(words)
        text: str = self._detokeniser.detokenize(list(words), unescape=False)
        return text[:1].upper() + text[1:] if self.spec.case == "lower" else text

    # sacremoses has no types, and is slow to import: where nothing is cut it is left alone.

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


SPECIAL = ("<unk>", "<s>", "</s>")
UNKNOWN, START, END = range(NUM_SPECIAL)


class Segmenter(Protocol):
    """One side's symbols."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The vocabulary; the ids are places in it."""
        ...

    def tokens(self, text: str) -> list[str]:
        """The words of plain text as the task's protocol cuts and counts them."""
        ...

    def pieces(self, text: str) -> list[str]:
        """What stands behind each id of `encode(text)`, unknown ones as they are written."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without an end."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Plain text of ids; `<s>` and `</s>` are left out, `<unk>` is written so."""
        ...

    def tokenised(self, ids: Sequence[int]) -> str:
        """The same as the protocol's words between blanks, subwords put together."""
        ...

    def decode_pieces(self, pieces: Sequence[str]) -> str:
        """`decode` of pieces, some of which may be in no vocabulary."""
        ...

    def tokenise_pieces(self, pieces: Sequence[str]) -> str:
        """`tokenised` of pieces, some of which may be in no vocabulary."""
        ...

    def encode_lines(self, plain: Sequence[str], words: Sequence[str]) -> Rows:
        """The ids of many lines, each given plain and as words between blanks."""
        ...


class Symbols:
    """What segmenters of every unit do alike."""

    def __init__(self, tokeniser: Tokeniser, symbols: Sequence[str]) -> None:
        assert tuple(symbols[:NUM_SPECIAL]) == SPECIAL
        self.tokeniser = tokeniser
        self.symbols = tuple(symbols)
        self.index = {symbol: number for number, symbol in enumerate(symbols)}
        assert len(self.index) == len(self.symbols)
        for symbol in SPECIAL:  # no text may write them
            del self.index[symbol]

    def tokens(self, text: str) -> list[str]:
        """See `Segmenter`."""
        return self.tokeniser.words(text)

    def decode(self, ids: Sequence[int]) -> str:
        """See `Segmenter`."""
        return self.decode_pieces(self._written(ids))

    def tokenised(self, ids: Sequence[int]) -> str:
        """See `Segmenter`."""
        return self.tokenise_pieces(self._written(ids))

    def decode_pieces(self, pieces: Sequence[str]) -> str:
        """See `Segmenter`."""
        raise NotImplementedError

    def tokenise_pieces(self, pieces: Sequence[str]) -> str:
        """See `Segmenter`."""
        raise NotImplementedError

    def sha256(self) -> str:
        """Checksum of the vocabulary."""
        return hashlib.sha256("".join(f"{s}\n" for s in self.symbols).encode()).hexdigest()

    def _written(self, ids: Sequence[int]) -> list[str]:
        return [self.symbols[number] for number in ids if number not in (START, END)]


class Words(Symbols):
    """Whole words of the protocol."""

    def pieces(self, text: str) -> list[str]:
        """See `Segmenter`."""
        return self.tokens(text)

    def encode(self, text: str) -> list[int]:
        """See `Segmenter`."""
        return [self.index.get(word, UNKNOWN) for word in self.tokens(text)]

    def decode_pieces(self, pieces: Sequence[str]) -> str:
        """See `Segmenter`."""
        return self.tokeniser.plain(pieces)

    def tokenise_pieces(self, pieces: Sequence[str]) -> str:
        """See `Segmenter`."""
        return " ".join(pieces)

    def encode_lines(self, plain: Sequence[str], words: Sequence[str]) -> Rows:
        """See `Segmenter`."""
        find = self.index.get
        return Rows.of([find(word, UNKNOWN) for word in line.split()] for line in words)


def learn_words(
    tokeniser: Tokeniser,
    lines: Iterable[str],
    num_words: int | None = None,
    minimum_count: int = 1,
    *,
    known: Sequence[str] = (),
) -> Words:
    """The most frequent words of a training text, given as words between blanks.

    `known` words are part of the vocabulary however rare they are, those unseen at its end.
    """
    counts = Counter[str]()
    for line in lines:
        counts.update(line.split())
    for special in SPECIAL:
        counts.pop(special, None)
    ordered = sorted(counts, key=lambda word: -counts[word])
    frequent = [word for word in ordered[:num_words] if counts[word] >= minimum_count]
    return Words(tokeniser, list(dict.fromkeys([*SPECIAL, *frequent, *known])))
