"""Scores of captions from statistics that add up over images.

Shapes: U images, X any leading dimensions, K statistics.
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
"""`cider` is what the caption toolkit and papers call so, CIDEr-D; `cider-plain` neither clips
counts nor minds lengths."""
_NUMBER, _HYPOTHESIS, _REFERENCE = 0, 1, 2
_MATCHES, _TOTALS = slice(3, 7), slice(7, 11)
_ROUGE, _CIDER, _PLAIN = 11, 12, 13


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionScores:
    """What each image adds [U, K], and so the units of a bootstrap.

    K: captions; words of hypothesis and nearest reference; n-grams that match, of orders 1 to 4;
    all its n-grams; ROUGE-L; CIDEr-D; plain CIDEr, the last three in percent.
    """

    sums: Floats
    num_references: NDArray[np.int64]
    """Of each image [U]."""

    @property
    def noun(self) -> str:
        """The units in words, with their number."""
        return f"{len(self.sums):,} images of {self.num_references.sum():,} reference captions"

    @property
    def method(self) -> str:
        """How sums over units become the metric."""
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

    @property
    def counts(self) -> dict[str, list[int]]:
        """What BLEU is made of: lengths, and n-grams of orders 1 to 4."""
        total = self.sums.sum(0)
        return {
            "lengths": [int(total[_HYPOTHESIS]), int(total[_REFERENCE])],
            "matches": total[_MATCHES].astype(int).tolist(),
            "totals": total[_TOTALS].astype(int).tolist(),
        }

    def part(self, chosen_U: NDArray[np.bool_]) -> CaptionScores:
        """The scores of some images; the document frequencies stay those of all."""
        return CaptionScores(sums=self.sums[chosen_U], num_references=self.num_references[chosen_U])


def corpus_values(sums_XK: Floats) -> dict[str, Floats]:
    """Metric -> value in percent [X] of added statistics; 0 of nothing."""
    number_X = np.maximum(sums_XK[..., _NUMBER], 1.0)
    bleu_X4 = 100 * bleu(
        sums_XK[..., _MATCHES],
        sums_XK[..., _TOTALS],
        sums_XK[..., _HYPOTHESIS],
        sums_XK[..., _REFERENCE],
    )
    values = [
        sums_XK[..., _CIDER] / number_X,
        *np.moveaxis(bleu_X4, -1, 0),
        sums_XK[..., _ROUGE] / number_X,
        sums_XK[..., _PLAIN] / number_X,
    ]
    return dict(zip(METRICS, values, strict=True))


def pool(rounds: Sequence[CaptionScores]) -> CaptionScores:
    """Several captions of each image, scored round by round, as one: statistics are added.

    CIDEr and ROUGE-L become means over all captions, BLEU that of the added counts.
    """
    if len({len(scores.sums) for scores in rounds}) != 1:
        raise BenchError("rounds over different images cannot be pooled; score the same images")
    return CaptionScores(
        sums=np.sum([scores.sums for scores in rounds], axis=0),
        num_references=rounds[0].num_references,
    )


def join(rounds: Sequence[CaptionScores]) -> CaptionScores:
    """Several captions of each image side by side, each a unit of its own."""
    return CaptionScores(
        sums=np.concatenate([scores.sums for scores in rounds]),
        num_references=np.concatenate([scores.num_references for scores in rounds]),
    )


# Which caption scores they are: a signature for each, so that two kinds never share a column.


TOKENS = "lower,alnum"
"""How captions are cut into words, as `bench.captioning.data.words` does."""
_HOW = {
    "cider": f"form:d|n:{MAX_ORDER}|sigma:{SIGMA:g}|df:split",
    "cider-plain": f"n:{MAX_ORDER}|df:split",
    "rouge-l": f"beta:{BETA:g}",
    **{f"bleu-{n}": "length:closest|smooth:none" for n in range(1, MAX_ORDER + 1)},
}


@dataclass(frozen=True, kw_only=True)
class CaptionProtocol:
    """What is common to the scores of a split."""

    references: str
    """Number of an image: 5, or from 5-7 where it varies."""
    tokens: str = TOKENS
    num_skipped: int = 0
    """Images and captions of the scored splits that were left out."""

    @classmethod
    def of(
        cls, references: Sequence[Sequence[Sequence[str]]], *, num_skipped: int = 0
    ) -> CaptionProtocol:
        """That of references by image."""
        numbers = sorted({len(captions) for captions in references})
        shown = dict.fromkeys((numbers[0], numbers[-1])) if numbers else {0: None}
        return cls(references="-".join(map(str, shown)), num_skipped=num_skipped)

    def signature(self, metric: str) -> str:
        """What the number is; `df:split`: document frequencies from the split's references."""
        return self._counted(f"{metric}|{_HOW[metric]}|refs:{self.references}")

    @property
    def signatures(self) -> dict[str, str]:
        """Metric -> signature of every score."""
        return {metric: self.signature(metric) for metric in METRICS}

    @property
    def copies(self) -> str:
        """The signature of the share of captions that stand in the training captions."""
        return self._counted("copies|of:train|unit:percent")

    def of_toolkit(self, metric: str, version: str) -> str:
        """The signature of a score that the caption toolkit computes."""
        return self._counted(f"{metric}|toolkit:{version}|refs:{self.references}")

    def _counted(self, signature: str) -> str:
        parts = [signature, f"tokens:{self.tokens}"]
        if self.num_skipped:
            parts.append(f"skipped:{self.num_skipped}")
        return "|".join(parts)


# Captions against their references: counted once, scored many times.
#
# Shapes: U images, S references, M pairs of an image and an n-gram of its references.


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
