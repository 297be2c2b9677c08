"""BLEU-1 to BLEU-4 and ROUGE-L of captions, as the caption toolkit counts them.

BLEU: Papineni et al. (2002) with several references: an n-gram counts as often as in the one
reference that has it most often, and the reference length of an image is the one nearest to the
hypothesis's, the shorter of two. Unsmoothed but for constants that keep the toolkit from dividing
by zero.

ROUGE-L: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), section 3.1: the best
precision and the best recall of the longest common subsequence over an image's references,
whichever references give them, and F with beta = 1.2.

Shapes: U images, S references, P pairs of sentences, A and B their words, X any leading dimensions.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.captioning.metrics.ngrams import MAX_ORDER, Ints, NGramCounts, NumberedText, find

Floats: TypeAlias = NDArray[np.float64]
_SMALL = 1e-9
_TINY = 1e-15
BETA = 1.2
_LARGEST_BLOCK = 4_000_000
"""Cells of the table of subsequences that are in memory at once."""


def bleu(
    matches_X4: Floats, totals_X4: Floats, hypothesis_X: Floats, reference_X: Floats
) -> Floats:
    """BLEU-1 to BLEU-4 [X, 4], between 0 and 1, of added counts and lengths in words."""
    precision_X4 = np.cumprod((matches_X4 + _TINY) / (totals_X4 + _SMALL), axis=-1)
    means_X4 = precision_X4 ** (1 / np.arange(1, MAX_ORDER + 1))
    ratio_X = (hypothesis_X + _TINY) / (reference_X + _SMALL)
    return np.asarray(means_X4 * np.exp(np.minimum(0.0, 1 - 1 / ratio_X))[..., None])


def nearest_lengths(hypothesis_U: Ints, reference_S: Ints, first_U: Ints) -> Ints:
    """Reference length of each image [U]; its references begin at `first_U`."""
    image_S = np.repeat(np.arange(len(first_U)), np.diff(first_U, append=len(reference_S)))
    distance_S = np.abs(reference_S - hypothesis_U[image_S])
    nearest_S = distance_S == np.minimum.reduceat(distance_S, first_U)[image_S]
    far = int(reference_S.max(initial=0)) + 1
    return np.asarray(np.minimum.reduceat(np.where(nearest_S, reference_S, far), first_U))


def clipped_matches(hypotheses: NGramCounts, key_M: Ints, most_M: Ints) -> Ints:
    """N-grams of each hypothesis that a reference of its image has [U, 4].

    `key_M`, sorted, are image * known n-grams + n-gram; `most_M` their largest counts.
    """
    known_E = hypotheses.gram < hypotheses.num_known
    keys = hypotheses.sentence * hypotheses.num_known + hypotheses.gram
    place_E, found_E = find(keys, key_M)
    found_E &= known_E
    matches = np.zeros((hypotheses.num_sentences, MAX_ORDER), dtype=np.int64)
    cells = hypotheses.sentence[found_E], hypotheses.order[found_E] - 1
    np.add.at(matches, cells, np.minimum(hypotheses.count[found_E], most_M[place_E[found_E]]))
    return matches


def totals(lengths_U: Ints) -> Ints:
    """N-grams of each hypothesis [U, 4] by its length in words."""
    return np.asarray(np.maximum(0, lengths_U[:, None] - np.arange(MAX_ORDER)))


def rouge_l(hypotheses: NumberedText, references: NumberedText, first_U: Ints) -> Floats:
    """F of each image [U]; its references begin at `first_U` and end where the next image's do."""
    image_S = np.repeat(np.arange(len(first_U)), np.diff(first_U, append=len(references.lengths)))
    common_S = common_subsequences(hypotheses.padded(-1)[image_S], references.padded(-2))
    hypothesis_S = hypotheses.lengths[image_S]
    precision_U = np.maximum.reduceat(common_S / np.maximum(hypothesis_S, 1), first_U)
    recall_U = np.maximum.reduceat(common_S / np.maximum(references.lengths, 1), first_U)
    weighted_U = recall_U + BETA**2 * precision_U
    return np.asarray(
        (1 + BETA**2) * precision_U * recall_U / np.where(weighted_U > 0, weighted_U, 1.0)
    )


def common_subsequences(first_PA: Ints, second_PB: Ints) -> Ints:
    """Lengths of the longest common subsequences [P]; fillings must not be equal."""
    size = max(1, _LARGEST_BLOCK // max(1, second_PB.shape[1]))
    blocks = [slice(start, start + size) for start in range(0, len(first_PA), size)]
    found = [_of_block(first_PA[block].T, second_PB[block].T) for block in blocks]
    return np.asarray(np.concatenate([np.zeros(0, dtype=np.int64), *found]))


def _of_block(first_AP: Ints, second_BP: Ints) -> Ints:
    """The table of Wagner and Fischer row by row, all pairs at once.

    A cell is the largest of its neighbours above and before, and of the one between plus a match;
    the neighbour before makes a running maximum of the row.
    """
    row_BP = np.zeros((len(second_BP) + 1, second_BP.shape[1]), dtype=np.int32)
    for word_P in first_AP:
        longer_BP = row_BP[:-1] + (second_BP == word_P)
        row_BP[1:] = np.maximum.accumulate(np.maximum(row_BP[1:], longer_BP), axis=0)
    return np.array(row_BP[-1], dtype=np.int64)
