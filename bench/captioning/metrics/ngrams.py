"""Words and n-grams as numbers, so that captions are counted by the thousand.

Shapes: S sentences, N words of all sentences, P places where an n-gram begins, E entries: each
different n-gram of each sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Tokens: TypeAlias = Sequence[str]
MAX_ORDER = 4
_WORD_BITS = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberedText:
    """Sentences as numbers of words, end to end."""

    words: Ints
    """[N]"""
    lengths: Ints
    """[S]"""

    @cached_property
    def ends(self) -> Ints:
        """End of the sentence of each word [N]."""
        return np.repeat(np.cumsum(self.lengths), self.lengths)

    def padded(self, fill: int) -> Ints:
        """Rows of equal length [S, longest], filled up with `fill`."""
        longest = int(self.lengths.max(initial=0))
        padded = np.full((len(self.lengths), longest), fill, dtype=np.int64)
        padded[np.arange(longest) < self.lengths[:, None]] = self.words
        return padded


@dataclass(frozen=True, kw_only=True, eq=False)
class NGramCounts:
    """Count of each n-gram in each sentence [E], by sentence and then by n-gram."""

    sentence: Ints
    gram: Ints
    """Number of the n-gram; those from `num_known` on are unknown to the table."""
    order: Ints
    count: Ints
    num_sentences: int
    num_known: int


class NGramTable:
    """Numbers of the words and the n-grams (orders 1 to `max_order`) of some sentences.

    Unknown ones get numbers behind these, which hold for one call.
    """

    def __init__(self, sentences: Sequence[Sequence[str]], *, max_order: int = MAX_ORDER) -> None:
        self._words: dict[str, int] = {}
        for word in chain.from_iterable(sentences):
            self._words.setdefault(word, len(self._words))
        text, self._keys = self.number(sentences), list[Ints]()
        prefixes = starts(text)
        for order in range(1, max_order + 1):
            key_P, place_P = grow(text, prefixes, order)
            known, gram_P = np.unique(key_P, return_inverse=True)
            self._keys.append(known)
            prefixes = place_P, gram_P.astype(np.int64)
        self._starts = np.cumsum([0, *map(len, self._keys)])

    @property
    def num_known(self) -> int:
        """Known n-grams of all orders."""
        return int(self._starts[-1])

    @property
    def num_known_by_order(self) -> list[int]:
        """Known n-grams of each order."""
        return [len(keys) for keys in self._keys]

    def number(self, sentences: Sequence[Sequence[str]]) -> NumberedText:
        """Words as numbers; the same unknown word has the same number."""
        known, new = self._words, dict[str, int]()
        lengths_S = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))

        def number(words: Iterable[str]) -> Iterable[int]:
            for word in words:
                found = known.get(word)
                yield new.setdefault(word, len(known) + len(new)) if found is None else found

        words = number(chain.from_iterable(sentences))
        words_N = np.fromiter(words, dtype=np.int64, count=int(lengths_S.sum()))
        return NumberedText(words=words_N, lengths=lengths_S)

    def counts(self, text: NumberedText) -> NGramCounts:
        """Counts of a text that this table has numbered."""
        num_new, prefixes = 0, starts(text)
        sentence_N = np.repeat(np.arange(len(text.lengths)), text.lengths)
        grams, sentences, orders = [], [], []
        for order, known in enumerate(self._keys, start=1):
            key_P, place_P = grow(text, prefixes, order)
            gram_P, is_known_P = find(key_P, known)
            num_known = len(known)
            new_P = np.unique(key_P[~is_known_P], return_inverse=True)[1]
            gram_P[~is_known_P] = num_known + new_P
            prefixes = place_P, gram_P
            behind = self.num_known + num_new - num_known
            grams.append(gram_P + np.where(gram_P < num_known, self._starts[order - 1], behind))
            sentences.append(sentence_N[place_P])
            orders.append(np.full(len(place_P), order))
            num_new += max(0, int(gram_P.max(initial=-1)) + 1 - num_known)
        num_grams = self.num_known + num_new
        whole = np.concatenate(sentences) * num_grams + np.concatenate(grams)
        key_E, first_E, count_E = np.unique(whole, return_index=True, return_counts=True)
        return NGramCounts(
            sentence=key_E // max(num_grams, 1),
            gram=key_E % max(num_grams, 1),
            order=np.concatenate(orders)[first_E],
            count=count_E.astype(np.int64),
            num_sentences=len(text.lengths),
            num_known=self.num_known,
        )


def starts(text: NumberedText) -> tuple[Ints, Ints]:
    """Places and numbers of the empty n-grams, one before each word."""
    return np.arange(len(text.words)), np.zeros(len(text.words), dtype=np.int64)


def grow(text: NumberedText, prefixes: tuple[Ints, Ints], order: int) -> tuple[Ints, Ints]:
    """Keys and places of the n-grams of `order` that begin with numbered ones of one word less.

    A key joins the number of the first words and that of the last word in one integer.
    """
    place_P, prefix_P = prefixes
    reaches_P = place_P + order <= text.ends[place_P]
    place_P, prefix_P = place_P[reaches_P], prefix_P[reaches_P]
    return prefix_P << _WORD_BITS | text.words[place_P + order - 1], place_P


def find(key_P: Ints, known: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Place of each key in the sorted `known`, and whether it is there."""
    if not len(known):
        return np.zeros(len(key_P), dtype=np.int64), np.zeros(len(key_P), dtype=np.bool_)
    place_P = np.minimum(np.searchsorted(known, key_P), len(known) - 1)
    return place_P, known[place_P] == key_P
