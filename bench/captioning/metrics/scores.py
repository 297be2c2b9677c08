"""Scores of captions from statistics that add up over images, and their signatures.

Shapes: U images, S references, M pairs of an image and an n-gram of its references, K statistics, X
any leading dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.captioning.metrics.bleu import (
    BETA,
    bleu,
    clipped_matches,
    nearest_lengths,
    rouge_l,
    totals,
)
from bench.captioning.metrics.cider import SIGMA, References, cider, inverse_frequency, norms
from bench.captioning.metrics.ngrams import MAX_ORDER, NGramTable, Tokens
from bench.core.errors import BenchError

Floats: TypeAlias = NDArray[np.float64]
METRICS = ("cider", "bleu-1", "bleu-2", "bleu-3", "bleu-4", "rouge-l", "cider-plain")
"""`cider` is CIDEr-D, which the caption toolkit and papers call CIDEr; `cider-plain` neither clips
counts nor penalises lengths."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionScores:
    """Statistics of each image [U, K], the units of a bootstrap.

    K: captions; words of hypothesis and nearest reference; matching n-grams of orders 1 to 4; all
    its n-grams; ROUGE-L; CIDEr-D; plain CIDEr, the last three in percent.
    """

    sums: Floats
    num_references: NDArray[np.int64]
    """References of each image [U]."""

    @property
    def noun(self) -> str:
        return f"{len(self.sums):,} images of {self.num_references.sum():,} reference captions"

    @property
    def method(self) -> str:
        return (
            "CIDEr is averaged over images, with the document frequencies of all references of "
            "the split"
        )

    def metric(self, sums_XK: Floats) -> Floats:
        """CIDEr in percent [X] of added statistics."""
        return corpus_values(sums_XK)["cider"]

    @property
    def value(self) -> float:
        """CIDEr in percent."""
        return self.values["cider"]

    @property
    def values(self) -> dict[str, float]:
        """Metric -> value in percent of all images, by the names in METRICS."""
        return {name: float(value) for name, value in corpus_values(self.sums.sum(0)).items()}

    @property
    def per_image(self) -> dict[str, Floats]:
        """Metric -> value in percent of each image [U]."""
        return corpus_values(self.sums)

    def part(self, chosen_U: NDArray[np.bool_]) -> CaptionScores:
        """Scores of some images; the document frequencies stay those of all."""
        return CaptionScores(sums=self.sums[chosen_U], num_references=self.num_references[chosen_U])


def corpus_values(sums_XK: Floats) -> dict[str, Floats]:
    """Metric -> value in percent [X] of added statistics; 0 for no caption."""
    number_X = np.maximum(sums_XK[..., 0], 1.0)
    matches, totals = sums_XK[..., 3:7], sums_XK[..., 7:11]
    bleu_X4 = 100 * bleu(matches, totals, sums_XK[..., 1], sums_XK[..., 2])
    rouge_X, cider_X, plain_X = (sums_XK[..., place] / number_X for place in (11, 12, 13))
    values = [cider_X, *np.moveaxis(bleu_X4, -1, 0), rouge_X, plain_X]
    return dict(zip(METRICS, values, strict=True))


def pool(rounds: Sequence[CaptionScores]) -> CaptionScores:
    """Scores of several captions of each image, round by round, as one: statistics are added.

    CIDEr and ROUGE-L become means over all captions, BLEU that of the added counts.
    """
    if len({len(scores.sums) for scores in rounds}) != 1:
        raise BenchError("rounds over different images cannot be pooled; score the same images")
    return CaptionScores(
        sums=np.sum([scores.sums for scores in rounds], axis=0),
        num_references=rounds[0].num_references,
    )


def join(rounds: Sequence[CaptionScores]) -> CaptionScores:
    """Scores of several captions of each image side by side, each a unit of its own."""
    return CaptionScores(
        sums=np.concatenate([scores.sums for scores in rounds]),
        num_references=np.concatenate([scores.num_references for scores in rounds]),
    )


TOKENS = "lower,alnum"
"""Tokenisation of captions by `bench.captioning.data.words`."""
_DEFINITIONS = {
    "cider": f"form:d|n:{MAX_ORDER}|sigma:{SIGMA:g}|df:split",
    "cider-plain": f"n:{MAX_ORDER}|df:split",
    "rouge-l": f"beta:{BETA:g}",
    **{f"bleu-{n}": "length:closest|smooth:none" for n in range(1, MAX_ORDER + 1)},
}
"""`df:split`: document frequencies from the references of the split."""


@dataclass(frozen=True, kw_only=True)
class CaptionProtocol:
    """The part of a signature that all scores of a split share."""

    references: str
    """References of an image: 5, or 5-7 where their number varies."""
    num_skipped: int = 0
    """Images and captions of the scored splits that were left out."""

    @classmethod
    def of(cls, references: Sequence[Sequence[Tokens]], *, num_skipped: int = 0) -> CaptionProtocol:
        """Protocol of scores against references by image."""
        numbers = [len(captions) for captions in references] or [0]
        shown = dict.fromkeys((min(numbers), max(numbers)))
        return cls(references="-".join(map(str, shown)), num_skipped=num_skipped)

    def signature(self, metric: str) -> str:
        """Signature of one of METRICS."""
        return self._completed(f"{metric}|{_DEFINITIONS[metric]}|refs:{self.references}")

    @property
    def copies(self) -> str:
        """Signature of the share of captions that are training captions."""
        return self._completed("copies|of:train|unit:percent")

    def of_toolkit(self, metric: str, version: str) -> str:
        """Signature of a score that the caption toolkit computes."""
        return self._completed(f"{metric}|toolkit:{version}|refs:{self.references}")

    def _completed(self, signature: str) -> str:
        skipped = f"|skipped:{self.num_skipped}" if self.num_skipped else ""
        return f"{signature}|tokens:{TOKENS}{skipped}"


class CaptionScorer:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr of the caption toolkit (Chen et al., 2015).

    References are counted once. Those of all images make the document frequencies of CIDEr, as in
    the toolkit: among other images the same caption has another score.
    """

    def __init__(self, references: Sequence[Sequence[Tokens]]) -> None:
        """`references[i]` are the captions of image i, one or more."""
        _check_references(references)
        self.references = references
        self.num_images = len(references)
        self._first_U = np.cumsum([0, *map(len, references)])[:-1]
        sentences = [caption for captions in references for caption in captions]
        image_S = np.repeat(np.arange(len(references)), [len(captions) for captions in references])
        self._table = NGramTable(sentences)
        self._text = self._table.number(sentences)
        counts = self._table.counts(self._text)
        # Known n-grams of an image, and their count in the reference that has most of each.
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
        """Scores of one hypothesis an image, in the order of the references."""
        if len(hypotheses) != self.num_images:
            raise BenchError(
                f"{len(hypotheses):,} captions for {self.num_images:,} images: give one an image"
            )
        text = self._table.number(hypotheses)
        counts = self._table.counts(text)
        defended_U, plain_U = cider(counts, np.maximum(0, text.lengths - 1), self._references)
        statistics = [
            np.ones(self.num_images),
            text.lengths,
            nearest_lengths(text.lengths, self._text.lengths, self._first_U),
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
    """Scores of a split: one hypothesis and one or more references an image."""
    return CaptionScorer(references).score(hypotheses)


def _check_references(references: Sequence[Sequence[Tokens]]) -> None:
    if not references:
        raise BenchError("no image to score: captions of nothing have no score")
    for place, captions in enumerate(references):
        if not captions:
            raise BenchError(f"image {place} has no reference caption: give one or more")
    if not any(caption for captions in references for caption in captions):
        raise BenchError("no reference caption has a word: captions cannot be scored")
