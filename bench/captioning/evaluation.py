"""Finished captioners measured anew, recorded as `bench.runs.ensembles` says.

caption    by another search, or several of them as an ensemble
retrieval  by ranking captions for an image and images for a caption by log p(caption | image)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.network.captioner import CaptionNetwork
from bench.captioning.network.ranking import Ranks, normalised, ranks
from bench.captioning.network.search import CaptionSearch, log_likelihoods
from bench.captioning.objectives.captioning import EVALUATION_IMAGES, CaptioningObjective
from bench.captioning.scoring import CaptionScoring, ScoredCaptions, Written
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.provenance import Stopwatch
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
    wished,
)
from bench.runs.finished import FinishedRun
from bench.runs.resolve import Resolved
from bench.runs.run import RunOptions, run
from bench.seq2seq.beam import Hypothesis, LengthPenalty
from bench.tracking.tracker import Tracker
from bench.training.progress import Style

# Finished runs as one captioner: a model, or an ensemble of models with equal vocabularies.
#
# The models of an ensemble may read different features of the same images.


def find_captioners(suite: Suite, names: Sequence[str]) -> list[FinishedRun]:
    """Finished runs that describe images, by name or how it begins.

    Raises BenchError as `find_members` does.
    """
    objectives = ("captioning",)
    return find_members(
        suite, names, objectives=objectives, task="captioning", act="describe images"
    )


@dataclass(frozen=True, kw_only=True)
class Captioner:
    """Describes the images of a split by the mean probability of some trained models."""

    objectives: Sequence[CaptioningObjective]
    search: CaptionSearch

    @property
    def corpus(self) -> CaptionCorpus:
        """That of the first model."""
        return self.objectives[0].corpus

    @property
    def networks(self) -> list[CaptionNetwork]:
        """Of all models."""
        return [objective.network for objective in self.objectives]

    def features(self, split: str) -> list[Tensor]:
        """What each model reads of the images of a split."""
        return [
            torch.from_numpy(one.corpus.features.rows(one.corpus.splits[split].feature_row)).to(
                one.device
            )
            for one in self.objectives
        ]

    def describe(self, split: str) -> list[Hypothesis]:
        """The best caption of each image."""
        return [found[0] for found in self._search(self.features(split))]

    def _search(self, features: Sequence[Tensor]) -> Iterator[list[Hypothesis]]:
        for first in range(0, len(features[0]), EVALUATION_IMAGES):
            rows = slice(first, first + EVALUATION_IMAGES)
            yield from self.search(self.networks, [part[rows] for part in features])


def make_captioner(
    runs: Sequence[FinishedRun], wishes: SearchOverrides, *, device: Device = "cpu"
) -> Captioner:
    """A captioner by the models of some runs; what is not wished is as the first was measured.

    Raises BenchError for models whose vocabularies or images differ.
    """
    objectives = load_members(runs, CaptioningObjective, device=device)
    for finished, objective in zip(runs[1:], objectives[1:], strict=True):
        _check(runs[0], objectives[0], finished, objective)
    options = wished(runs[0], wishes)
    penalty = LengthPenalty(kind=options["length_penalty"], alpha=options["alpha"])
    search = replace(objectives[0].search, beam_size=options["beam_size"], penalty=penalty)
    return Captioner(objectives=objectives, search=search)


def _check(
    first: FinishedRun, ours: CaptioningObjective, other: FinishedRun, theirs: CaptioningObjective
) -> None:
    """Refuse models that do not write the same words about the same images, by their runs."""
    one, two = ours.corpus.vocabulary.symbols, theirs.corpus.vocabulary.symbols
    if one != two:
        raise BenchError(
            f"runs {first.id} and {other.id} have other vocabularies ({len(one):,} and "
            f"{len(two):,} symbols): an ensemble needs equal ones"
        )
    for split in ("valid", "test"):
        if _names(ours.corpus.splits[split]) != _names(theirs.corpus.splits[split]):
            raise BenchError(
                f"runs {first.id} and {other.id} were measured on other {split} images: an "
                "ensemble describes the same ones"
            )


def _names(split: CaptionSplit) -> list[str]:
    return list(split.names)


SPLITS = ("valid", "test")
LIKELIHOOD, LIKELIHOOD_RATIO = "likelihood", "likelihood/mean"
"""Annotations are ranked by log p(s | i), or by that less its mean over images."""


def evaluate_captioners(
    suite: Suite,
    names: Sequence[str],
    wishes: SearchOverrides,
    *,
    device: Device = "cpu",
    run_options: RunOptions | None = None,
) -> Record:
    """Describe the images of validation and test by some runs together, and record it.

    Raises BenchError as `find_captioners` and `make_captioner` do.
    """
    runs = in_order(find_captioners(suite, names))
    resolved = resolve_members(runs, "caption", wished(runs[0], wishes))
    work = Captioning(runs=runs, wishes=wishes, device=device)
    return run(resolved, suite, run_options, work=work)


def evaluate_retrieval(
    suite: Suite,
    names: Sequence[str],
    *,
    device: Device = "cpu",
    run_options: RunOptions | None = None,
) -> Record:
    """Rank the captions and images of test by the likelihood of some runs, and record it."""
    runs = in_order(find_captioners(suite, names))
    work = Retrieving(runs=runs, device=device)
    return run(resolve_members(runs, "retrieval", {}), suite, run_options, work=work)


@dataclass(frozen=True, kw_only=True)
class Captioning:
    """The work of an evaluation: both splits described, scored and kept."""

    runs: Sequence[FinishedRun]
    wishes: SearchOverrides
    device: Device = "cpu"

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
        captioner = make_captioner(self.runs, self.wishes, device=self.device)
        metrics, beside = dict[str, float](), dict[str, dict[str, float]]()
        for split, scored in zip(SPLITS, _scored(captioner), strict=True):
            metrics[split] = scored.cider
            for signature, value in scored.beside.items():
                beside.setdefault(signature, {})[split] = value
            scored.keep(folder, split, captioner.search.signature)
        tracker.log({f"final/{split}": value for split, value in metrics.items()}, step=0)
        return Outcome(
            metrics=metrics,
            metric="cider",
            signature=scored.signature,
            bound=(captioner.corpus.bound or {}).get("test"),
            cost=cost_of_members(self.runs, stopwatch),
            beside=beside,
        )


def _scored(captioner: Captioner) -> list[ScoredCaptions]:
    corpus = captioner.corpus
    scoring = CaptionScoring(corpus.splits["train"], num_skipped=len(corpus.skipped))
    found = []
    for split in SPLITS:
        images, best = corpus.splits[split], captioner.describe(split)
        words = [corpus.vocabulary.decode(one.tokens) for one in best]
        written = Written(captions=words, references=images.captions)
        log_probs = [one.log_prob for one in best]
        found.append(scoring.score(images, [written], log_probs=log_probs))
    return found


@dataclass(frozen=True, kw_only=True)
class Retrieving:
    """The work of ranking: every caption of the test images for every one of them."""

    runs: Sequence[FinishedRun]
    device: Device = "cpu"

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
        ratio_SI = normalised(log_p_SI)
        by = {
            LIKELIHOOD_RATIO: ranks(ratio_SI, images.image_of, search_SI=log_p_SI),
            LIKELIHOOD: ranks(log_p_SI, images.image_of),
        }
        value = by[LIKELIHOOD_RATIO].mean_recall
        tracker.log({"final/test": value}, step=0)
        signature = Ranks.signature(
            LIKELIHOOD_RATIO, num_images=len(images), num_captions=images.num_captions
        )
        beside = {
            name: {"test": found}
            for scores, ranked in by.items()
            for name, found in ranked.beside(scores).items()
        }
        return Outcome(
            metrics={"test": value},
            metric="recall",
            signature=signature,
            cost=cost_of_members(self.runs, stopwatch),
            beside=beside,
        )
