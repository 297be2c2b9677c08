"""Captions against their references: counted once, scored many times.

Shapes: U images, S references, M pairs of an image and an n-gram of its references.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.captioning.metrics.bleu import clipped_matches, nearest_lengths, totals
from bench.captioning.metrics.cider import References, cider, inverse_frequency, norms
from bench.captioning.metrics.ngrams import NGramTable
from bench.captioning.metrics.rouge import rouge_l
from bench.captioning.metrics.scores import CaptionScores
from bench.core.errors import BenchError

Tokens = Sequence[str]


class CaptionScorer:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr of the caption toolkit (Chen et al., 2015).

    The references of all images make the document frequencies of CIDEr, as in the toolkit: the
    same caption scores otherwise among other images.
    """

    def __init__(self, references: Sequence[Sequence[Tokens]]) -> None:
        """`references[i]` are the captions of image i, as tokens; each image has one or more."""
        _check_references(references)
        self.num_images = len(references)
        self._first_U = np.cumsum([0, *map(len, references)])[:-1]
        sentences = [caption for captions in references for caption in captions]
        image_S = np.repeat(np.arange(len(references)), [len(captions) for captions in references])
        self._table = NGramTable(sentences)
        self._text = self._table.number(sentences)
        counts = self._table.counts(self._text)
        # `known` n-grams of an image, and how often the reference that has most of it has it.
        keys_E = image_S[counts.sentence] * counts.num_known + counts.gram
        order = np.argsort(keys_E, kind="stable")
        self._key_M, start_M = np.unique(keys_E[order], return_index=True)
        self._most_M = np.maximum.reduceat(counts.count[order], start_M)
        images_with = np.bincount(self._key_M % counts.num_known, minlength=counts.num_known)
        inverse = inverse_frequency(self.num_images, images_with)
        self._references = References(
            counts=counts,
            image=image_S,
            num_bigrams=np.maximum(0, self._text.lengths - 1),
            inverse_frequency=inverse,
            norms=norms(counts, inverse, self.num_images),
        )

    def score(self, hypotheses: Sequence[Tokens]) -> CaptionScores:
        """The scores of one hypothesis an image, in the order of the references."""
        if len(hypotheses) != self.num_images:
            raise BenchError(
                f"{len(hypotheses):,} captions for {self.num_images:,} images: give one an image"
            )
        text = self._table.number(hypotheses)
        counts = self._table.counts(text)
        defended_U, plain_U = cider(counts, np.maximum(0, text.lengths - 1), self._references)
        nearest_U = nearest_lengths(text.lengths, self._text.lengths, self._first_U)
        statistics = [
            np.ones(self.num_images),
            text.lengths,
            nearest_U,
            *clipped_matches(counts, self._key_M, self._most_M).T,
            *totals(text.lengths).T,
            100 * rouge_l(text, self._text, self._first_U),
            100 * defended_U,
            100 * plain_U,
        ]
        return CaptionScores(
            sums=np.stack(statistics, axis=1).astype(np.float64),
            num_references=np.diff(self._first_U, append=len(self._text.lengths)),
        )


def score_captions(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> CaptionScores:
    """The scores of a split: one hypothesis and one or more references an image, as tokens."""
    return CaptionScorer(references).score(hypotheses)


def _check_references(references: Sequence[Sequence[Tokens]]) -> None:
    if not references:
        raise BenchError("no image to score: captions of nothing have no score")
    for place, captions in enumerate(references):
        if not captions:
            raise BenchError(f"image {place} has no reference caption: give one or more")
    if not any(caption for captions in references for caption in captions):
        raise BenchError("no reference caption has a word: captions cannot be scored")
