"""Finished runs as one translator: a model, or an ensemble of models with equal vocabularies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.runs.ensembles import Device, SearchWishes, find_members, load_members, wished
from bench.runs.finished import FinishedRun
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.network.translator import Translator
from bench.translation.objectives.translation import TranslationObjective

ReplaceUnknown = Literal["never", "aligned"]


@dataclass(frozen=True, kw_only=True)
class Wishes(SearchWishes):
    """How to search and to word; what is None is as the first run was measured."""

    replace_unknown: ReplaceUnknown | None = None


def find_translators(suite: Suite, names: Sequence[str]) -> list[FinishedRun]:
    """Finished runs that translate, by name or how it begins; BenchError as `find_members`."""
    objectives = ("translation",)
    return find_members(suite, names, objectives=objectives, task="translation", act="translate")


def make_translator(
    runs: Sequence[FinishedRun], wishes: Wishes, *, device: Device = "cpu"
) -> tuple[Translator, ParallelCorpus]:
    """A translator by the models of some runs, and what they were trained on.

    Raises BenchError for models whose vocabularies differ.
    """
    objectives = load_members(runs, TranslationObjective, device=device)
    _check_vocabularies(runs, objectives)
    longest = objectives[0].options.max_length_factor
    translator = Translator(objectives, max_length_factor=longest, **wished(runs[0], wishes))
    return translator, objectives[0].corpus


def _check_vocabularies(
    runs: Sequence[FinishedRun], objectives: Sequence[TranslationObjective]
) -> None:
    """Refuse models that do not read and write the same symbols, by the names of their runs."""
    first = objectives[0].corpus
    for finished, objective in zip(runs[1:], objectives[1:], strict=True):
        for side in ("source", "target"):
            ours, theirs = getattr(first, side).symbols, getattr(objective.corpus, side).symbols
            if ours != theirs:
                raise BenchError(
                    f"runs {runs[0].id} and {finished.id} have other {side} vocabularies "
                    f"({len(ours):,} and {len(theirs):,} symbols): an ensemble needs equal ones"
                )
