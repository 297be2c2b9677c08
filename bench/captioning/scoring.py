"""Scores of the captions of a split, and how much of them is copied from the training captions."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.metrics.copying import Copying, TrainingCaptions, mean_copying, most_alike
from bench.captioning.metrics.ngrams import Tokens
from bench.captioning.metrics.scores import (
    METRICS,
    CaptionProtocol,
    CaptionScorer,
    CaptionScores,
    pool,
)
from bench.captioning.outputs import CaptionedImage, Captions, CaptionsHeader
from bench.core.outcome import Outcome
from bench.core.record import Cost


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """One caption for each image of a split, and the references that it is scored against.

    A model has one turn, against all captions of an image; people have several, in each of which
    one of an image's captions is scored against the others.
    """

    captions: Sequence[Tokens]
    references: Sequence[Sequence[Tokens]]


class CaptionScoring:
    """Scorer of any split of a corpus; counts of the corpus are made once.

    Shapes: I images.
    """

    def __init__(self, train: CaptionSplit, *, num_skipped: int = 0) -> None:
        """`num_skipped`: images and captions that were left out of the corpus."""
        self.train = train
        self.num_skipped = num_skipped
        self._scorers: dict[int, CaptionScorer] = {}

    @classmethod
    def of(cls, corpus: CaptionCorpus) -> CaptionScoring:
        """Scorer of a corpus, less what was skipped."""
        return cls(corpus.splits["train"], num_skipped=len(corpus.skipped))

    def score(
        self,
        split: CaptionSplit,
        turns: Sequence[Turn],
        *,
        log_probs: Sequence[float | None] | None = None,
    ) -> ScoredCaptions:
        """Score of one turn, or of several pooled; `log_probs` [I] belong to a single turn."""
        scores = [self._scorer(turn.references).score(turn.captions) for turn in turns]
        return ScoredCaptions(
            scores=pool(scores),
            protocol=self.protocol([own for turn in turns for own in turn.references]),
            split=split,
            turns=turns,
            log_probs=log_probs,
            scoring=self,
        )

    def protocol(self, references: Sequence[Sequence[Tokens]]) -> CaptionProtocol:
        """Protocol of scores against references by image."""
        return CaptionProtocol.of(references, num_skipped=self.num_skipped)

    @cached_property
    def training(self) -> TrainingCaptions:
        """Captions that may have been copied."""
        return TrainingCaptions([tokens for own in self.train.captions for tokens in own])

    def _scorer(self, references: Sequence[Sequence[Tokens]]) -> CaptionScorer:
        key = id(references)  # a scorer holds its references, so that no other gets their id
        if key not in self._scorers:
            self._scorers[key] = CaptionScorer(references)
        return self._scorers[key]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredCaptions:
    """Captions of a split with their scores."""

    scores: CaptionScores
    protocol: CaptionProtocol
    split: CaptionSplit
    turns: Sequence[Turn]
    log_probs: Sequence[float | None] | None
    scoring: CaptionScoring

    @property
    def cider(self) -> float:
        """The metric, in percent."""
        return self.scores.value

    @property
    def signature(self) -> str:
        """Signature of the metric; the search belongs to the system, not to the metric."""
        return self.protocol.signature("cider")

    @cached_property
    def copying(self) -> Copying:
        """Figures on copying, the mean over turns."""
        return mean_copying([self.scoring.training.copying(turn.captions) for turn in self.turns])

    @cached_property
    def beside(self) -> dict[str, float]:
        """Signature -> value in percent of the scores beside the metric."""
        values = self.scores.values
        named = {self.protocol.signature(name): values[name] for name in METRICS[1:]}
        named[self.protocol.copies] = self.copying.identical_percent
        found = [toolkit_scores(turn.captions, turn.references) for turn in self.turns]
        for name in found[0]:
            signature = self.protocol.of_toolkit(name, toolkit_version())
            named[signature] = float(np.mean([values[name] for values in found]))
        return named

    def keep(self, folder: Path, split: str, search: str) -> None:
        """Write the captions of every image in the order of the split; `search` names how."""
        header = CaptionsHeader(
            signature=self.signature,
            search=search,
            copying=self.copying,
            people=self.scoring.training.copying_of_people(self.split.captions),
        )
        Captions(header=header, lines=self._lines()).write(folder, split)

    def _lines(self) -> list[CaptionedImage]:
        """Turn after turn; the training captions are searched for all at once."""
        training, train = self.scoring.training, self.scoring.train
        captions = [tokens for turn in self.turns for tokens in turn.captions]
        nearest = most_alike(captions, training.captions).tolist()
        longest = training.longest(captions).tolist()
        size = len(self.split.names)
        return [
            CaptionedImage(
                image=self.split.names[place % size],
                hypothesis=" ".join(tokens),
                references=tuple(map(" ".join, self.turns[place // size].references[place % size])),
                log_prob=self.log_probs[place] if self.log_probs else None,
                nearest=" ".join(training.captions[nearest[place]]),
                nearest_image=train.names[train.image_of[nearest[place]]],
                longest=longest[place],
                turn=place // size,
            )
            for place, tokens in enumerate(captions)
        ]


def outcome_of(
    scored: Mapping[str, ScoredCaptions], corpus: CaptionCorpus, *, signature: str, cost: Cost
) -> Outcome:
    """Outcome of captions without training, by split."""
    beside: dict[str, dict[str, float]] = {}
    for split, captions in scored.items():
        for name, value in captions.beside.items():
            beside.setdefault(name, {})[split] = value
    return Outcome(
        metrics={split: captions.cider for split, captions in scored.items()},
        metric="cider",
        signature=signature,
        bound=(corpus.bound or {}).get("test"),
        cost=cost,
        beside=beside,
    )


# METEOR (Denkowski and Lavie, 2014) and SPICE (Anderson et al., 2016) are Java programs, run by
# pycocoevalcap where it and Java are installed. Nothing is downloaded: SPICE needs its language
# models in `pycocoevalcap/spice/lib`.
_PACKAGE = "pycocoevalcap"
_SCORERS = {"meteor": ("meteor.meteor", "Meteor"), "spice": ("spice.spice", "Spice")}
_MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")


def toolkit_version() -> str:
    """Name and version, such as `pycocoevalcap-1.2`."""
    try:
        return f"{_PACKAGE}-{version(_PACKAGE)}"
    except PackageNotFoundError:
        return f"{_PACKAGE}-unknown"


def available() -> list[str]:
    """Scores of the toolkit that can be computed here."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations or shutil.which("java") is None:
        return []
    library = Path(spec.submodule_search_locations[0]) / "spice" / "lib"
    has_models = all((library / name).is_file() for name in _MODELS)
    return ["meteor", "spice"] if has_models else ["meteor"]


def toolkit_scores(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> dict[str, float]:
    """Score -> value in percent of the available ones; a failing one is left out with a warning."""
    given = {i: [" ".join(tokens) for tokens in captions] for i, captions in enumerate(references)}
    # An empty line would end the program's input.
    written = {i: [" ".join(tokens) or "."] for i, tokens in enumerate(hypotheses)}
    found = {}
    for name in available():
        module, scorer = _SCORERS[name]
        try:
            compute = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), scorer)()
            found[name] = 100 * float(compute.compute_score(given, written)[0])
        except Exception as error:  # a program of another language may fail in any way
            warnings.warn(f"{name} is left out: {_PACKAGE} failed with {error!r}", stacklevel=2)
    return found
