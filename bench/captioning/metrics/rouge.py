"""ROUGE-L of captions: longest common subsequences of words.

Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), section 3.1, as the caption
toolkit has it: the best precision and the best recall over an image's references, whichever
references give them, and F with beta = 1.2.

Shapes: P pairs of sentences, A and B their words, U images, S references.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.captioning.metrics.ngrams import Ints, NumberedText

Floats: TypeAlias = NDArray[np.float64]
BETA = 1.2
_LARGEST_BLOCK = 4_000_000
"""Cells of the table of subsequences that are in memory at once."""


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
