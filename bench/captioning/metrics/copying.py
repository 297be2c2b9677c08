"""Copying: captions compared with the training captions.

Devlin et al., "Exploring Nearest Neighbor Approaches for Image Captioning" (2015) and Vinyals et
al., "Show and Tell" (2015) count captions that are in the training set; the longest copied n-gram
measures the others.

Shapes: U captions, S training captions, N words, P places, E entries of counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bench.captioning.metrics.cider import Floats, inverse_frequency, norms
from bench.captioning.metrics.ngrams import (
    Ints,
    NGramCounts,
    NGramTable,
    NumberedText,
    Tokens,
    find,
    grow,
    starts,
)
from bench.core.errors import BenchError

Bools: TypeAlias = NDArray[np.bool_]
FREQUENT = 5
"""Occurrences in the training captions that put a word into the vocabulary, as in the papers."""
_LARGEST_BLOCK = 8_000_000
"""Likenesses that are in memory at once."""


class Copying(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one caption an image, or means over several such sets."""

    num_captions: float
    identical_percent: float
    """Captions that are training captions word by word."""
    words: float
    """Mean length of a caption."""
    longest: float
    """Mean words of the longest n-gram of a caption that a training caption has."""
    longest_percent: float
    """These words, in percent of all."""
    distinct: tuple[float, ...]
    """Different n-grams of orders 1 to 4."""
    distinct_captions: float
    vocabulary_percent: float
    """Share of the training vocabulary that is used."""


class TrainingCaptions:
    """Captions that a model has read, numbered once."""

    def __init__(self, captions: Sequence[Tokens]) -> None:
        """`captions` of all training images."""
        if not captions:
            raise BenchError("no training caption: nothing can be copied")
        self.captions = captions
        self._whole = frozenset(map(tuple, captions))
        counts = Counter(chain.from_iterable(captions))
        self.vocabulary = frozenset(word for word, n in counts.items() if n >= FREQUENT)
        self._table = NGramTable(captions, max_order=1)
        self._text = self._table.number(captions)

    def identical(self, captions: Sequence[Tokens]) -> Bools:
        """Captions that are training captions word by word [U]."""
        return np.array([tuple(caption) in self._whole for caption in captions], dtype=np.bool_)

    def longest(self, captions: Sequence[Tokens]) -> Ints:
        """Words of the longest n-gram of each caption [U] that one training caption has."""
        return longest_copied(self._table.number(captions), self._text)

    def copying(self, captions: Sequence[Tokens]) -> Copying:
        """Figures of one caption an image."""
        longest_U = self.longest(captions)
        words, number = sum(map(len, captions)), len(captions)
        used = set(chain.from_iterable(captions)) & self.vocabulary
        return Copying(
            num_captions=number,
            identical_percent=100 * float(self.identical(captions).mean()) if number else 0.0,
            words=words / max(number, 1),
            longest=float(longest_U.mean()) if number else 0.0,
            longest_percent=100 * float(longest_U.sum()) / max(words, 1),
            distinct=tuple(map(float, NGramTable(captions).num_known_by_order)),
            distinct_captions=float(len(set(map(tuple, captions)))),
            vocabulary_percent=100 * len(used) / max(len(self.vocabulary), 1),
        )

    def copying_of_people(self, references: Sequence[Sequence[Tokens]]) -> Copying:
        """Mean figures of people, over the sets of each image's first caption, second, and so on.

        A set has as many captions as a model writes, so that the figures can be compared.
        """
        number = min(map(len, references), default=0)
        if not number:
            raise BenchError("an image without a caption: people cannot be compared with models")
        sets = [self.copying([captions[i] for captions in references]) for i in range(number)]
        return mean_copying(sets)


def mean_copying(sets: Sequence[Copying]) -> Copying:
    """Means of all figures."""
    rows = [msgspec.structs.asdict(copying) for copying in sets]
    means = {name: np.mean([row[name] for row in rows], axis=0).tolist() for name in rows[0]}
    return Copying(**{**means, "distinct": tuple(means["distinct"])})


def longest_copied(text: NumberedText, training: NumberedText) -> Ints:
    """Words of the longest n-gram of each caption [U] that one training caption has.

    Order by order, the captions' n-grams that are still found are searched for at the places of
    the training captions that still begin one, so that both soon grow few.
    """
    longest_U = np.zeros(len(text.lengths), dtype=np.int64)
    caption_N = np.repeat(np.arange(len(text.lengths)), text.lengths)
    ours, theirs = starts(text), starts(training)
    for order in range(1, int(text.lengths.max(initial=0)) + 1):
        our_keys, our_places = grow(text, ours, order)
        their_keys, their_places = grow(training, theirs, order)
        known = np.intersect1d(our_keys, their_keys)
        our_grams, is_ours = find(our_keys, known)
        their_grams, is_theirs = find(their_keys, known)
        ours = our_places[is_ours], our_grams[is_ours]
        theirs = their_places[is_theirs], their_grams[is_theirs]
        if not len(known):
            break
        longest_U[caption_N[ours[0]]] = order
    return longest_U


def most_alike(captions: Sequence[Tokens], training: Sequence[Tokens]) -> Ints:
    """Place of the training caption that each caption is most like [U]; of equals the first.

    Likeness is plain CIDEr's: the cosine of n-gram counts weighted by rarity, added over orders 1
    to 4, with the training captions as documents. A caption that is copied is most like itself.
    """
    table = NGramTable(training)
    theirs = table.counts(table.number(training))
    frequency = np.bincount(theirs.gram, minlength=table.num_known)
    inverse = inverse_frequency(len(training), frequency)
    ours = table.counts(table.number(captions))
    their_rows = _unit_rows(theirs, inverse, len(training)).T.tocsr()
    our_rows = _unit_rows(ours, inverse, len(training))
    size = max(1, _LARGEST_BLOCK // len(training))
    found = [
        (our_rows[start : start + size] @ their_rows).toarray().argmax(1)
        for start in range(0, len(captions), size)
    ]
    place_U = np.concatenate([np.zeros(0, dtype=np.int64), *found])
    first = {tuple(caption): place for place, caption in reversed(list(enumerate(training)))}
    # Rounding could put another caption of the same n-grams before the copy.
    return np.array(
        [first.get(tuple(c), place) for c, place in zip(captions, place_U, strict=True)],
        dtype=np.int64,
    )


def _unit_rows(counts: NGramCounts, inverse: Floats, num_documents: int) -> csr_array:
    """Rows whose parts of each order have length 1, of known n-grams only."""
    known_E = counts.gram < counts.num_known
    norm_E = norms(counts, inverse, num_documents)[counts.sentence, counts.order - 1][known_E]
    weight_E = counts.count[known_E] * inverse[counts.gram[known_E]]
    return csr_array(
        (
            weight_E / np.where(norm_E > 0, norm_E, 1.0),
            (counts.sentence[known_E], counts.gram[known_E]),
        ),
        shape=(counts.num_sentences, counts.num_known),
    )
