"""Which caption scores they are: a signature for each, so that two kinds never share a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.captioning.metrics.cider import SIGMA
from bench.captioning.metrics.ngrams import MAX_ORDER
from bench.captioning.metrics.rouge import BETA
from bench.captioning.metrics.scores import METRICS

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
