"""CIDEr: how much a caption agrees with its references, n-grams weighted by their rarity.

Vedantam, Zitnick and Parikh, "CIDEr: Consensus-based Image Description Evaluation" (2015). g_k(c)
is the number of times that n-gram k stands in caption c, times log(images / images with k in a
reference); for n = 1 to 4

    CIDEr_n(c, S)   = mean over references s of  g(c) . g(s) / (|g(c)| |g(s)|)           (2)
    CIDEr-D_n(c, S) = 10 times the mean of  exp(-(l_c - l_s)^2 / (2 sigma^2))
                      min(g(c), g(s)) . g(s) / (|g(c)| |g(s)|)                           (4)

and the score is their mean over n. The caption toolkit calls CIDEr-D "CIDEr", so papers do; its
lengths are numbers of bigrams. Plain CIDEr is here times 10, too, as its authors' code has it.

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
    """The references of U images, counted."""

    counts: NGramCounts
    image: Ints
    """Of each reference [S]; so are the lengths."""
    num_bigrams: Ints
    inverse_frequency: Floats
    """log(images / images with it in a reference) of each known n-gram."""
    norms: Floats
    """|g| of each reference and order [S, O]."""


def inverse_frequency(num_images: int, images_with: Ints) -> Floats:
    """Of n-grams by the number of images that have them; an n-gram of none counts as one of one."""
    return np.asarray(np.log(float(num_images)) - np.log(np.maximum(1.0, images_with)))


def norms(counts: NGramCounts, inverse: Floats, num_images: int) -> Floats:
    """|g| of each sentence and order [S, O]."""
    known_E = counts.gram < counts.num_known
    weight_E = np.full(len(known_E), np.log(float(num_images)))
    weight_E[known_E] = inverse[counts.gram[known_E]]
    squares = np.bincount(
        _cell(counts, counts.sentence),
        weights=(counts.count * weight_E) ** 2,
        minlength=counts.num_sentences * MAX_ORDER,
    )
    return np.sqrt(squares.reshape(-1, MAX_ORDER))


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

    def of_images(kept_E: Floats | Ints) -> Floats:
        """The mean cosine over orders of each reference [S], of kept n-grams of the hypothesis."""
        products = np.bincount(
            _cell(counts, counts.sentence),
            weights=kept_E * inverse_E * theirs_E,
            minlength=len(image_S) * MAX_ORDER,
        ).reshape(-1, MAX_ORDER)
        return np.asarray((products / np.where(norms_SO > 0, norms_SO, 1.0)).mean(1))

    clipped_S = of_images(np.minimum(ours_E, counts.count)) * gaussian_S
    num_references_U = np.bincount(image_S, minlength=num_images)
    means = [
        SCALE * np.bincount(image_S, weights=value_S, minlength=num_images) / num_references_U
        for value_S in (clipped_S, of_images(ours_E))
    ]
    return means[0], means[1]


def _counts_of(hypotheses: NGramCounts, image_E: Ints, gram_E: Ints) -> Ints:
    """How often the hypothesis of each entry's image has the entry's n-gram [E]."""
    size = hypotheses.num_known
    known = hypotheses.gram < size
    keys = hypotheses.sentence[known] * size + hypotheses.gram[known]
    place_E, found_E = find(image_E * size + gram_E, keys)
    counts_E = np.zeros(len(gram_E), dtype=np.int64)
    counts_E[found_E] = hypotheses.count[known][place_E[found_E]]
    return counts_E


def _cell(counts: NGramCounts, sentence_E: Ints) -> Ints:
    return sentence_E * MAX_ORDER + counts.order - 1
