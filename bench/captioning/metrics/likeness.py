"""The training caption that a caption is most like.

Shapes: U captions, S training captions, E entries of counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from bench.captioning.metrics.cider import Floats, inverse_frequency, norms
from bench.captioning.metrics.ngrams import Ints, NGramCounts, NGramTable

Tokens = Sequence[str]
_LARGEST_BLOCK = 8_000_000
"""Likenesses that are in memory at once."""


def most_alike(captions: Sequence[Tokens], training: Sequence[Tokens]) -> Ints:
    """The place of the training caption that each is most like [U]; of equals the first.

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
    """Rows whose parts of each order have length 1; only n-grams that the table knows."""
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
