"""What was written of the images of a split, scored, and held against the training captions."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import numpy as np

from bench.captioning.metrics import METRICS, CaptionScorer, CaptionScores, pool
from bench.captioning.metrics.copying import Copying, TrainingCaptions, mean_copying, most_alike
from bench.captioning.metrics.scores import CaptionProtocol
from bench.captioning.outputs import CaptionedImage, Captions, CaptionsHeader, write_captions

# METEOR and SPICE, which are Java programs: by pycocoevalcap where it and Java are installed.
#
# Denkowski and Lavie (2014) and Anderson et al. (2016). Nothing is downloaded: SPICE's language
# models are used where `pycocoevalcap/spice/lib` has them already.


Tokens = Sequence[str]
_PACKAGE = "pycocoevalcap"
_SCORERS = {"meteor": ("meteor.meteor", "Meteor"), "spice": ("spice.spice", "Spice")}
_MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")


def toolkit_version() -> str:
    """`pycocoevalcap-1.2`."""
    try:
        return f"{_PACKAGE}-{version(_PACKAGE)}"
    except PackageNotFoundError:
        return f"{_PACKAGE}-unknown"


def available() -> list[str]:
    """Which of meteor and spice can be computed here."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations or shutil.which("java") is None:
        return []
    library = Path(spec.submodule_search_locations[0]) / "spice" / "lib"
    has_models = all((library / name).is_file() for name in _MODELS)
    return ["meteor", "spice"] if has_models else ["meteor"]


def toolkit_scores(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> dict[str, float]:
    """Score -> value in percent, of those that can be computed; warns of one that fails."""
    given = {i: [" ".join(tokens) for tokens in captions] for i, captions in enumerate(references)}
    # An empty line would end the program's input.
    written = {i: [" ".join(tokens) or "."] for i, tokens in enumerate(hypotheses)}
    found = {}
    for name in available():
        module, scorer = _SCORERS[name]
        try:
            compute = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), scorer)()
            found[name] = 100 * float(compute.compute_score(given, written)[0])
        except Exception as error:  # whatever a program of another language may do
            warnings.warn(f"{name} is left out: {_PACKAGE} failed with {error!r}", stacklevel=2)
    return found


_PREPARED = 4
"""Splits whose references stay counted."""


class Images(Protocol):
    """The images of a split and their captions."""

    @property
    def names(self) -> Sequence[str]:
        """Of the images."""
        ...

    @property
    def captions(self) -> Sequence[Sequence[Tokens]]:
        """Of each image."""
        ...


class Turn(Protocol):
    """A caption for each image, and those that it is held against."""

    @property
    def captions(self) -> Sequence[Tokens]:
        """As tokens."""
        ...

    @property
    def references(self) -> Sequence[Sequence[Tokens]]:
        """Of each image."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Written:
    """A turn of a model that describes images: all captions of an image are its references."""

    captions: Sequence[Tokens]
    references: Sequence[Sequence[Tokens]]


class CaptionScoring:
    """Scores captions of any split of a corpus; what it needs of the corpus is counted once."""

    def __init__(self, train: Images, *, num_skipped: int = 0) -> None:
        """`train` are the images that models learn from; `num_skipped` images and captions of the
        scored splits were left out."""
        self.train = train
        self.num_skipped = num_skipped
        self._prepared: list[tuple[Sequence[Sequence[Tokens]], CaptionScorer]] = []

    def score(
        self,
        images: Images,
        turns: Sequence[Turn],
        *,
        log_probs: Sequence[float | None] | None = None,
    ) -> ScoredCaptions:
        """The scores of one turn or several, which are pooled; `log_probs` are of one turn."""
        scores = [self._scorer(turn.references).score(turn.captions) for turn in turns]
        return ScoredCaptions(
            scores=pool(scores),
            protocol=CaptionProtocol.of(
                [captions for turn in turns for captions in turn.references],
                num_skipped=self.num_skipped,
            ),
            images=images,
            turns=turns,
            log_probs=log_probs,
            scoring=self,
        )

    @cached_property
    def training(self) -> TrainingCaptions:
        """The captions that may have been copied."""
        return TrainingCaptions([tokens for own in self.train.captions for tokens in own])

    @cached_property
    def training_images(self) -> list[str]:
        """The image of each training caption."""
        return [
            name
            for name, own in zip(self.train.names, self.train.captions, strict=True)
            for _ in own
        ]

    def _scorer(self, references: Sequence[Sequence[Tokens]]) -> CaptionScorer:
        for known, scorer in self._prepared:
            if known is references:
                return scorer
        made = CaptionScorer(references)
        self._prepared = [*self._prepared, (references, made)][-_PREPARED:]
        return made


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredCaptions:
    """The captions of a split with what they are worth."""

    scores: CaptionScores
    protocol: CaptionProtocol
    images: Images
    turns: Sequence[Turn]
    log_probs: Sequence[float | None] | None
    scoring: CaptionScoring

    @property
    def cider(self) -> float:
        """The metric, in percent."""
        return self.scores.value

    @property
    def signature(self) -> str:
        """What the metric is; not how captions were searched, which is the system's."""
        return self.protocol.signature("cider")

    @cached_property
    def copying(self) -> Copying:
        """How much is copied; the mean over turns."""
        return mean_copying([self.scoring.training.copying(turn.captions) for turn in self.turns])

    @cached_property
    def beside(self) -> dict[str, float]:
        """Signature -> value in percent of what stands beside the metric."""
        values = self.scores.values
        named = {self.protocol.signature(name): values[name] for name in METRICS[1:]}
        named[self.protocol.copies] = self.copying.identical_percent
        found = [toolkit_scores(turn.captions, turn.references) for turn in self.turns]
        for name in found[0]:
            signature = self.protocol.of_toolkit(name, toolkit_version())
            named[signature] = float(np.mean([values[name] for values in found]))
        return named

    def keep(self, folder: Path, split: str, search: str) -> None:
        """Write what was made of every image, in the order of the split; `search` says how."""
        header = CaptionsHeader(
            signature=self.signature,
            search=search,
            copying=self.copying,
            people=self.scoring.training.copying_of_people(self.images.captions),
        )
        write_captions(folder, split, Captions(header=header, lines=self._lines()))

    def _lines(self) -> list[CaptionedImage]:
        """Turn after turn; all are looked for among the training captions at once."""
        training = self.scoring.training
        captions = [tokens for turn in self.turns for tokens in turn.captions]
        nearest = most_alike(captions, training.captions)
        longest = training.copied(captions).longest
        size = len(self.images.names)
        return [
            CaptionedImage(
                image=self.images.names[place % size],
                hypothesis=" ".join(tokens),
                references=tuple(map(" ".join, self.turns[place // size].references[place % size])),
                log_prob=self.log_probs[place] if self.log_probs else None,
                nearest=" ".join(training.captions[nearest[place]]),
                nearest_image=self.scoring.training_images[nearest[place]],
                longest=int(longest[place]),
                turn=place // size,
            )
            for place, tokens in enumerate(captions)
        ]
