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
from typing import Protocol

from bench.data.rows import Rows
from bench.translation.data.specification import NUM_SPECIAL
from bench.translation.data.tokenisation import Tokeniser

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
