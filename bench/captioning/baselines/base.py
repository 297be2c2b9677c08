"""The contract of models that describe images without a gradient."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.data.words import Tokens
from bench.captioning.metrics.scores import CaptionProtocol
from bench.captioning.scoring import CaptionScoring, Written
from bench.core.config import RunConfig
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.provenance import Stopwatch, cost_of
from bench.training.baseline import Baseline, Report


class CaptionBaseline(Baseline):
    """Gives images captions that were written before; its options are its constructor's keywords.

    `describe` is what a model that describes images gives; one that does otherwise says so in
    `turns` and `references`.
    """

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

    def measure(
        self,
        config: RunConfig,
        corpus: CaptionCorpus,
        folder: Path,
        *,
        splits: Sequence[str],
        report: Report | None = None,
    ) -> Outcome:
        """Fit to the training split, score the captions of `splits` and keep them in `folder`."""
        stopwatch = Stopwatch.start()
        self.fit(corpus, seed=config.seed, report=report)
        num_skipped = len(corpus.skipped)
        scoring = CaptionScoring(corpus.splits["train"], num_skipped=num_skipped)
        metrics = dict[str, float]()
        beside: dict[str, dict[str, float]] = {}
        for split in splits:
            scored = scoring.score(corpus.splits[split], self.turns(split))
            scored.keep(folder, split, _how(config))
            metrics[split] = scored.cider
            for signature, value in scored.beside.items():
                beside.setdefault(signature, {})[split] = value
        held_against = self.references(corpus.splits["test"])
        return Outcome(
            metrics=metrics,
            metric="cider",
            signature=CaptionProtocol.of(held_against, num_skipped=num_skipped).signature("cider"),
            bound=(corpus.bound or {}).get("test"),
            cost=cost_of(stopwatch, num_parameters=self.num_parameters),
            beside=beside,
        )


def _how(config: RunConfig) -> str:
    """The model and its options, as a signature."""
    options = (f"{key}:{value}" for key, value in config.model.items() if key != "name")
    return "|".join([str(config.model["name"]), *options])
