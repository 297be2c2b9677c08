"""Finished captioners measured anew, recorded as `bench.runs.ensembles` says.

caption    by another search, or several of them as an ensemble
retrieval  by ranking captions for an image and images for a caption by log p(caption | image)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.captioning.caption_scoring import CaptionScoring, ScoredCaptions, Written
from bench.captioning.inference.runs import Captioner, find_captioners, make_captioner
from bench.captioning.network.likelihood import log_likelihoods
from bench.captioning.network.retrieval import Ranks, normalised, ranks
from bench.core.outcome import Outcome
from bench.core.provenance import begin
from bench.core.record import Record
from bench.core.suite import Suite
from bench.data.progress import shown
from bench.domains import Corpus
from bench.runs.ensembles import (
    Device,
    SearchWishes,
    cost_of_members,
    in_order,
    resolve_members,
    wished,
)
from bench.runs.finished import FinishedRun
from bench.runs.resolve import Resolved
from bench.runs.run import Manners, run
from bench.tracking.tracker import Tracker
from bench.training.progress import Style

SPLITS = ("valid", "test")
LIKELIHOOD, LIKELIHOOD_RATIO = "likelihood", "likelihood/mean"
"""Annotations are ranked by log p(s | i), or by that less its mean over images."""


def evaluate_captioners(
    suite: Suite,
    names: Sequence[str],
    wishes: SearchWishes,
    *,
    device: Device = "cpu",
    manners: Manners | None = None,
) -> Record:
    """Describe the images of validation and test by some runs together, and record it.

    Raises BenchError as `find_captioners` and `make_captioner` do.
    """
    runs = in_order(find_captioners(suite, names))
    resolved = resolve_members(runs, "caption", wished(runs[0], wishes))
    work = Captioning(runs=runs, wishes=wishes, device=device)
    return run(resolved, suite, manners, work=work)


def evaluate_retrieval(
    suite: Suite,
    names: Sequence[str],
    *,
    device: Device = "cpu",
    manners: Manners | None = None,
) -> Record:
    """Rank the captions and images of test by the likelihood of some runs, and record it."""
    runs = in_order(find_captioners(suite, names))
    work = Retrieving(runs=runs, device=device)
    return run(resolve_members(runs, "retrieval", {}), suite, manners, work=work)


@dataclass(frozen=True, kw_only=True)
class Captioning:
    """The work of an evaluation: both splits described, scored and kept."""

    runs: Sequence[FinishedRun]
    wishes: SearchWishes
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
        begun = begin()
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
            cost=cost_of_members(self.runs, begun),
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
        begun = begin()
        captioner = make_captioner(self.runs, SearchWishes(), device=self.device)
        images = captioner.corpus.splits["test"]
        with shown(f"captions of {resolved.card.task} for each image", style) as report:
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
            cost=cost_of_members(self.runs, begun),
            beside=beside,
        )
