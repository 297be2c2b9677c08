"""Finished runs as one translator: a model, or an ensemble of models with equal vocabularies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import msgspec
import torch

from bench.data.corpus import Corpus
from bench.data.parallel.corpus import ParallelCorpus
from bench.errors import BenchError
from bench.finished import FinishedRun, find_run, load_objective, require_weights
from bench.objectives.translation import TranslationObjective
from bench.run import corpus_of
from bench.suite import Suite
from bench.translation.translator import Translator

LengthPenaltyKind = Literal["none", "average", "gnmt"]
ReplaceUnknown = Literal["never", "aligned"]
Device = Literal["cpu", "gpu", "auto"]


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How to search; what is None is as the first run was measured."""

    beam_size: int | None = None
    length_penalty: LengthPenaltyKind | None = None
    alpha: float | None = None
    replace_unknown: ReplaceUnknown | None = None

    def __post_init__(self) -> None:
        if self.beam_size is not None and self.beam_size < 1:
            raise BenchError(f"--beam {self.beam_size}: give 1 or more")
        if self.alpha is not None and not 0 <= self.alpha < float("inf"):
            raise BenchError(f"--alpha {self.alpha:g}: give 0 or more")


def find_translators(suite: Suite, names: Sequence[str]) -> list[FinishedRun]:
    """Finished runs by name, or how it begins.

    Raises BenchError for no run, a run named twice, one that does not translate and one without
    weights.
    """
    if not names:
        raise BenchError("name a finished run of a translation task; see `bench list runs`")
    runs = [find_run(suite, name) for name in names]
    for place, finished in enumerate(runs):
        objective = finished.resolved.objective
        if objective != "translation":
            raise BenchError(f"run {finished.id} is of {objective}: it does not translate")
        if finished.id in [other.id for other in runs[:place]]:
            raise BenchError(f"run {finished.id} is named twice: an ensemble is of different runs")
        require_weights(finished)
    return runs


def wished(first: FinishedRun, wishes: Wishes) -> dict[str, Any]:
    """The options of the search: as wished, and else as the first run was measured."""
    usual = first.resolved.config.objective
    wanted = {field.name: getattr(wishes, field.name) for field in fields(Wishes)}
    return {name: usual[name] if value is None else value for name, value in wanted.items()}


def make_translator(
    runs: Sequence[FinishedRun], wishes: Wishes, *, device: Device = "cpu"
) -> tuple[Translator, ParallelCorpus]:
    """A translator by the models of some runs, and what they were trained on.

    Raises BenchError for models whose vocabularies differ.
    """
    corpora: dict[bytes, Corpus] = {}
    objectives = [_load(finished, corpora).to(_device(device)) for finished in runs]
    _check_vocabularies(runs, objectives)
    longest = objectives[0].options.max_length_factor
    translator = Translator(objectives, max_length_factor=longest, **wished(runs[0], wishes))
    return translator, objectives[0].corpus


def _load(finished: FinishedRun, corpora: dict[bytes, Corpus]) -> TranslationObjective:
    """The model of a run; runs of the same data share one corpus."""
    resolved = finished.resolved
    key = msgspec.json.encode([resolved.card.task, resolved.config.data])
    if key not in corpora:
        corpora[key] = corpus_of(resolved)
    objective = load_objective(finished, corpora[key])
    assert isinstance(objective, TranslationObjective)
    return objective


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


def _device(name: Device) -> torch.device:
    if name == "gpu" and not torch.cuda.is_available():
        raise BenchError("--device gpu, but torch sees none: use cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
