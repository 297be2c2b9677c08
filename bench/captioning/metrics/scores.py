"""Scores of captions from statistics that add up over images.

Shapes: U images, X any leading dimensions, K statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.captioning.metrics.bleu import bleu
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
