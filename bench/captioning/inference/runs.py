"""Finished runs as one captioner: a model, or an ensemble of models with equal vocabularies.

The models of an ensemble may read different features of the same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.network.network import CaptionNetwork
from bench.captioning.network.search import CaptionSearch
from bench.captioning.objectives.captioning import EVALUATION_IMAGES, CaptioningObjective
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.runs.ensembles import Device, SearchWishes, find_members, load_members, wished
from bench.runs.finished import FinishedRun
from bench.seq2seq.beam import Found
from bench.seq2seq.length_penalty import LengthPenalty


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

    def describe(self, split: str) -> list[Found]:
        """The best caption of each image."""
        return [found[0] for found in self._search(self.features(split))]

    def _search(self, features: Sequence[Tensor]) -> Iterator[list[Found]]:
        for first in range(0, len(features[0]), EVALUATION_IMAGES):
            rows = slice(first, first + EVALUATION_IMAGES)
            yield from self.search(self.networks, [part[rows] for part in features])


def make_captioner(
    runs: Sequence[FinishedRun], wishes: SearchWishes, *, device: Device = "cpu"
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
