"""CIDEr: agreement of a caption with its references, n-grams weighted by their rarity.

Vedantam, Zitnick and Parikh, "CIDEr: Consensus-based Image Description Evaluation" (2015). g_k(c)
is the count of n-gram k in caption c, times log(images / images with k in a reference); for n = 1
to 4

    CIDEr_n(c, S)   = mean over references s of  g(c) . g(s) / (|g(c)| |g(s)|)           (2)
    CIDEr-D_n(c, S) = 10 times the mean of  exp(-(l_c - l_s)^2 / (2 sigma^2))
                      min(g(c), g(s)) . g(s) / (|g(c)| |g(s)|)                           (4)

and the score is their mean over n. The caption toolkit and papers call CIDEr-D "CIDEr"; its lengths
are numbers of bigrams. Plain CIDEr is here times 10, too, as in its authors' code.

Shapes: U images, S references, E entries of counts, M pairs of an image and an n-gram, O orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.captioning.metrics.ngrams import MAX_ORDER, Ints, NGramCounts, find

Floats: TypeAlias = NDArray[np.float64]
SIGMA = 6.0
SCALE = 10.0


@dataclass(frozen=True, kw_only=True, eq=False)
class References:
    """Counted references of U images."""

    counts: NGramCounts
    image: Ints
    """Image of each reference [S]."""
    num_bigrams: Ints
    """Length of each reference [S]."""
    inverse_frequency: Floats
    """log(images / images with it in a reference) of each known n-gram."""
    norms: Floats
    """|g| of each reference and order [S, O]."""


def inverse_frequency(num_images: int, images_with: Ints) -> Floats:
    """Weights of n-grams by the number of images that have them, at least one."""
    return np.asarray(np.log(float(num_images)) - np.log(np.maximum(1.0, images_with)))


def norms(counts: NGramCounts, inverse: Floats, num_images: int) -> Floats:
    """|g| of each sentence and order [S, O]."""
    known_E = counts.gram < counts.num_known
    weight_E = np.full(len(known_E), np.log(float(num_images)))
    weight_E[known_E] = inverse[counts.gram[known_E]]
    squares_SO = _added(counts, (counts.count * weight_E) ** 2, counts.num_sentences)
    return np.sqrt(squares_SO)


def cider(
    hypotheses: NGramCounts, num_bigrams_U: Ints, references: References
) -> tuple[Floats, Floats]:
    """CIDEr-D and plain CIDEr of each image [U]."""
    num_images = hypotheses.num_sentences
    counts, image_S = references.counts, references.image
    inverse_E = references.inverse_frequency[counts.gram]
    ours_E = _counts_of(hypotheses, image_S[counts.sentence], counts.gram)
    theirs_E = counts.count * inverse_E
    norms_UO = norms(hypotheses, references.inverse_frequency, num_images)
    norms_SO = norms_UO[image_S] * references.norms
    gaussian_S = np.exp(-((num_bigrams_U[image_S] - references.num_bigrams) ** 2) / (2 * SIGMA**2))

    def cosine(kept_E: Floats | Ints) -> Floats:
        """Mean cosine over orders of each reference [S], of kept n-grams of the hypothesis."""
        products_SO = _added(counts, kept_E * inverse_E * theirs_E, len(image_S))
        return np.asarray((products_SO / np.where(norms_SO > 0, norms_SO, 1.0)).mean(1))

    clipped_S = cosine(np.minimum(ours_E, counts.count)) * gaussian_S
    num_references_U = np.bincount(image_S, minlength=num_images)
    defended_U, plain_U = (
        SCALE * np.bincount(image_S, weights=value_S, minlength=num_images) / num_references_U
        for value_S in (clipped_S, cosine(ours_E))
    )
    return defended_U, plain_U


def _counts_of(hypotheses: NGramCounts, image_E: Ints, gram_E: Ints) -> Ints:
    """Count of each entry's n-gram in the hypothesis of its image [E]."""
    size = hypotheses.num_known
    known = hypotheses.gram < size
    keys = hypotheses.sentence[known] * size + hypotheses.gram[known]
    place_E, found_E = find(image_E * size + gram_E, keys)
    counts_E = np.zeros(len(gram_E), dtype=np.int64)
    counts_E[found_E] = hypotheses.count[known][place_E[found_E]]
    return counts_E


def _added(counts: NGramCounts, value_E: Floats, num_sentences: int) -> Floats:
    """Sums of values by sentence and order [S, O]."""
    cell_E = counts.sentence * MAX_ORDER + counts.order - 1
    sums = np.bincount(cell_E, weights=value_E, minlength=num_sentences * MAX_ORDER)
    return np.asarray(sums.reshape(-1, MAX_ORDER), dtype=np.float64)
