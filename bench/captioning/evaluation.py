"""Modes of `bench evaluate` for finished captioners, recorded as `bench.runs.ensembles` says.

caption    another search, or an ensemble of several models with one vocabulary
retrieval  captions ranked for an image and images for a caption, by log p(caption | image)

The models of an ensemble may read different features of the same images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.network.captioner import CaptionNetwork
from bench.captioning.network.ranking import Ranks, normalised, ranks
from bench.captioning.network.search import CaptionSearch, log_likelihoods
from bench.captioning.objectives.captioning import EVALUATION_IMAGES, CaptioningObjective
from bench.captioning.scoring import CaptionScoring, Turn, outcome_of
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.record import Record
from bench.core.suite import Suite
from bench.data.corpora import Corpus
from bench.data.problems import progress_bar
from bench.runs.ensembles import (
    Device,
    SearchOverrides,
    cost_of_members,
    find_members,
    in_order,
    load_members,
    resolve_members,
    search_options,
)
from bench.runs.finished import FinishedRun
from bench.runs.provenance import Stopwatch
from bench.runs.resolve import Resolved
from bench.runs.run import RunOptions, run
from bench.seq2seq.beam import Hypothesis, LengthPenalty
from bench.tracking.tracker import Tracker
from bench.training.progress import Style

SPLITS = ("valid", "test")
LIKELIHOOD, LIKELIHOOD_RATIO = "likelihood", "likelihood/mean"
"""Annotations are ranked by log p(s | i), or by that less its mean over images."""


def evaluate_captions(
    suite: Suite,
    runs: Sequence[str],
    settings: Mapping[str, Any],
    *,
    device: Device,
    options: RunOptions,
) -> Record:
    """Record of captions of the validation and test images by some runs together.

    `settings`: as in `SearchOverrides`. Raises BenchError as `find_captioners` and
    `make_captioner` do.
    """
    members, overrides = find_captioners(suite, runs), SearchOverrides(**settings)
    resolved = resolve_members(members, "caption", search_options(members[0], overrides))
    work = _Describing(runs=members, overrides=overrides, device=device)
    return run(resolved, suite, options, work=work)


def evaluate_retrieval(
    suite: Suite,
    runs: Sequence[str],
    settings: Mapping[str, Any],
    *,
    device: Device,
    options: RunOptions,
) -> Record:
    """Record of the captions and images of test ranked by the likelihood of some runs."""
    del settings  # there are none
    members = find_captioners(suite, runs)
    resolved = resolve_members(members, "retrieval", {})
    return run(resolved, suite, options, work=_Retrieving(runs=members, device=device))


def find_captioners(suite: Suite, names: Sequence[str]) -> list[FinishedRun]:
    """Finished captioners by name, or how it begins, in the order of their seeds and names.

    Raises BenchError as `find_members` does.
    """
    found = find_members(
        suite, names, objectives=("captioning",), task="captioning", act="describe images"
    )
    return in_order(found)


@dataclass(frozen=True, kw_only=True)
class Captioner:
    """One or several trained models that describe images by their mean probability."""

    objectives: Sequence[CaptioningObjective]
    search: CaptionSearch

    @property
    def corpus(self) -> CaptionCorpus:
        """Corpus of the first model."""
        return self.objectives[0].corpus

    @property
    def networks(self) -> list[CaptionNetwork]:
        """Networks of all models."""
        return [objective.network for objective in self.objectives]

    def features(self, split: str) -> list[Tensor]:
        """Features of the images of a split that each model reads."""
        return [
            torch.from_numpy(one.corpus.features.rows(one.corpus.splits[split].feature_row)).to(
                one.device
            )
            for one in self.objectives
        ]

    def describe(self, split: str) -> list[Hypothesis]:
        """The best caption of each image."""
        parts = [torch.split(part, EVALUATION_IMAGES) for part in self.features(split)]
        each = zip(*parts, strict=True)
        return [found[0] for part in each for found in self.search(self.networks, part)]


def make_captioner(
    runs: Sequence[FinishedRun], overrides: SearchOverrides, *, device: Device = "cpu"
) -> Captioner:
    """Captioner by the models of some runs; settings not given are those of the first run.

    Raises BenchError for models whose vocabularies or images differ.
    """
    objectives = load_members(runs, CaptioningObjective, device=device)
    for finished, objective in zip(runs[1:], objectives[1:], strict=True):
        _check(runs[0], objectives[0].corpus, finished, objective.corpus)
    options = search_options(runs[0], overrides)
    penalty = LengthPenalty(kind=options["length_penalty"], alpha=options["alpha"])
    search = replace(objectives[0].search, beam_size=options["beam_size"], penalty=penalty)
    return Captioner(objectives=objectives, search=search)


def _check(
    first: FinishedRun, ours: CaptionCorpus, other: FinishedRun, theirs: CaptionCorpus
) -> None:
    """Raise BenchError, naming the runs, for other words or images than the first model's."""
    one, two = ours.vocabulary.symbols, theirs.vocabulary.symbols
    if one != two:
        raise BenchError(
            f"runs {first.id} and {other.id} have other vocabularies ({len(one):,} and "
            f"{len(two):,} symbols): an ensemble needs equal ones"
        )
    for split in SPLITS:
        if list(ours.splits[split].names) != list(theirs.splits[split].names):
            raise BenchError(
                f"runs {first.id} and {other.id} were measured on other {split} images: an "
                "ensemble describes the same ones"
            )


@dataclass(frozen=True, kw_only=True)
class _Describing:
    """Work of an evaluation: both splits described, scored and kept."""

    runs: Sequence[FinishedRun]
    overrides: SearchOverrides
    device: Device

    def __call__(
        self,
        resolved: Resolved,
        corpus: Corpus,
        folder: Path,
        *,
        style: Style,
        tracker: Tracker,
    ) -> Outcome:
        stopwatch = Stopwatch.start()
        captioner = make_captioner(self.runs, self.overrides, device=self.device)
        scoring, scored = CaptionScoring.of(captioner.corpus), {}
        for split in SPLITS:
            images, best = captioner.corpus.splits[split], captioner.describe(split)
            words = [captioner.corpus.vocabulary.decode(one.tokens) for one in best]
            turn = Turn(captions=words, references=images.captions)
            scored[split] = scoring.score(images, [turn], log_probs=[one.log_prob for one in best])
            scored[split].keep(folder, split, captioner.search.signature)
        outcome = outcome_of(
            scored,
            captioner.corpus,
            signature=scored["test"].signature,
            cost=cost_of_members(self.runs, stopwatch),
        )
        tracker.log({f"final/{split}": value for split, value in outcome.metrics.items()}, step=0)
        return outcome


@dataclass(frozen=True, kw_only=True)
class _Retrieving:
    """Work of an evaluation: every test caption scored for every test image."""

    runs: Sequence[FinishedRun]
    device: Device

    def __call__(
        self,
        resolved: Resolved,
        corpus: Corpus,
        folder: Path,
        *,
        style: Style,
        tracker: Tracker,
    ) -> Outcome:
        stopwatch = Stopwatch.start()
        captioner = make_captioner(self.runs, SearchOverrides(), device=self.device)
        images = captioner.corpus.splits["test"]
        with progress_bar(f"captions of {resolved.card.task} for each image", style) as report:
            log_p_SI = log_likelihoods(
                captioner.networks, captioner.features("test"), images.rows, progress=report
            )
        by = {
            LIKELIHOOD_RATIO: ranks(normalised(log_p_SI), images.image_of, search_SI=log_p_SI),
            LIKELIHOOD: ranks(log_p_SI, images.image_of),
        }
        value = by[LIKELIHOOD_RATIO].mean_recall
        tracker.log({"final/test": value}, step=0)
        return Outcome(
            metrics={"test": value},
            metric="recall",
            signature=Ranks.signature(
                LIKELIHOOD_RATIO, num_images=len(images), num_captions=images.num_captions
            ),
            cost=cost_of_members(self.runs, stopwatch),
            beside={
                name: {"test": found}
                for scores, ranked in by.items()
                for name, found in ranked.beside(scores).items()
            },
        )
