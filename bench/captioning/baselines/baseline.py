"""The contract of models that describe images without a gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from bench.captioning.caption_scoring import Written
from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.data.words import Tokens
from bench.core.errors import BenchError
from bench.text.baselines.baseline import Reads, Report


class CaptionBaseline(ABC):
    """Gives images captions that were written before; its options are its constructor's keywords.

    `describe` is what a model that describes images gives; one that does otherwise says so in
    `turns` and `references`.
    """

    reads: ClassVar[Reads] = "captions"
    _corpus: CaptionCorpus | None = None

    def fit(self, corpus: CaptionCorpus, *, seed: int, report: Report | None = None) -> None:
        """Store the training split; `seed` is for what is drawn.

        `report` is called with one line of text for each thing that a user should know.
        """
        self._corpus, self.seed, self.report = corpus, seed, report

    @property
    def corpus(self) -> CaptionCorpus:
        """What the model was fitted to."""
        if self._corpus is None:
            raise BenchError("this model has not been fitted: call fit() first")
        return self._corpus

    @abstractmethod
    def describe(self, split: str) -> Sequence[Tokens]:
        """A caption for each image of a split, in their order."""

    def turns(self, split: str) -> Sequence[Written]:
        """Captions of all images with those that they are held against; turns are pooled."""
        described = self.corpus.splits[split]
        return [Written(captions=self.describe(split), references=self.references(described))]

    def references(self, split: CaptionSplit) -> Sequence[Sequence[Tokens]]:
        """How many captions of each image of a split a turn is held against, as in the first."""
        return split.captions

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Numbers that the fitted model stores and describes images with."""
