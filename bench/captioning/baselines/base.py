"""The contract of models that describe images without a gradient."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.data.words import Tokens
from bench.captioning.scoring import CaptionScoring, Turn, outcome_of
from bench.core.config import RunConfig
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.runs.provenance import Stopwatch, cost_of
from bench.training.baseline import Baseline, Report


class CaptionBaseline(Baseline):
    """Gives images captions that people wrote.

    A subclass defines `describe`; one without a single caption for each image overrides `turns` and
    `references`, too.
    """

    _corpus: CaptionCorpus | None = None

    def __init__(self) -> None:
        """Options are the keyword arguments of a subclass."""

    def fit(self, corpus: CaptionCorpus, *, seed: int, report: Report | None = None) -> None:
        """Store the training split; `seed` decides random draws."""
        self._corpus, self.seed, self.report = corpus, seed, report

    @property
    def corpus(self) -> CaptionCorpus:
        """Corpus that the model was fitted to."""
        if self._corpus is None:
            raise BenchError("this model has not been fitted: call fit() first")
        return self._corpus

    @abstractmethod
    def describe(self, split: str) -> Sequence[Tokens]:
        """A caption for each image of a split, in their order."""

    def turns(self, split: str) -> Sequence[Turn]:
        """Captions with their references, in one turn or several, which are pooled."""
        references = self.references(self.corpus.splits[split])
        return [Turn(captions=self.describe(split), references=references)]

    def references(self, split: CaptionSplit) -> Sequence[Sequence[Tokens]]:
        """References of the first turn; all turns have as many."""
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
        stopwatch = Stopwatch.start()
        self.fit(corpus, seed=config.seed, report=report)
        scoring, scored = CaptionScoring.of(corpus), {}
        for split in splits:
            scored[split] = scoring.score(corpus.splits[split], self.turns(split))
            scored[split].keep(folder, split, _name(config))
        protocol = scoring.protocol(self.references(corpus.splits["test"]))
        return outcome_of(
            scored,
            corpus,
            signature=protocol.signature("cider"),
            cost=cost_of(stopwatch, num_parameters=self.num_parameters),
        )


def _name(config: RunConfig) -> str:
    """The model and its options, as in a signature."""
    options = (f"{key}:{value}" for key, value in config.model.items() if key != "name")
    return "|".join([str(config.model["name"]), *options])
