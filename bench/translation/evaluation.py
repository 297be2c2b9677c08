"""Finished translation models measured anew: by another search, or several of them as an ensemble.

Recorded as `bench.runs.ensembles` says, `evaluation: translate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.provenance import Stopwatch
from bench.core.record import Record
from bench.core.suite import Suite
from bench.data.corpora import Corpus
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
from bench.tracking.tracker import Tracker
from bench.training.progress import Style
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.objective import TranslationObjective
from bench.translation.scoring import TranslationScoring
from bench.translation.translator import Translator

# Finished runs as one translator: a model, or an ensemble of models with equal vocabularies.


ReplaceUnknown = Literal["never", "aligned"]


@dataclass(frozen=True, kw_only=True)
class Wishes(SearchOverrides):
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


SPLITS = ("valid", "test")


def evaluate_translators(
    suite: Suite,
    names: Sequence[str],
    wishes: Wishes,
    *,
    device: Device = "cpu",
    run_options: RunOptions | None = None,
) -> Record:
    """Translate validation and test by the models of some runs together, and record it.

    Raises BenchError as `find_translators` and `make_translator` do.
    """
    runs = in_order(find_translators(suite, names))
    resolved = resolve_members(runs, "translate", wished(runs[0], wishes))
    work = Translating(runs=runs, wishes=wishes, device=device)
    return run(resolved, suite, run_options, work=work)


@dataclass(frozen=True, kw_only=True)
class Translating:
    """The work of an evaluation: both splits translated, scored and kept."""

    runs: Sequence[FinishedRun]
    wishes: Wishes
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
        assert isinstance(corpus, ParallelCorpus)
        translator, _ = make_translator(self.runs, self.wishes, device=self.device)
        scoring = TranslationScoring(
            protocol=replace(corpus.bleu, unknown=translator.replace_unknown),
            train_sources=lambda: corpus.splits["train"].source_text,
            num_skipped=len(corpus.skipped),
        )
        metrics: dict[str, float] = {}
        beside: dict[str, dict[str, float]] = {}
        for split in SPLITS:
            _score(translator, corpus, split, scoring)
            metrics[split] = scoring.bleu
            for signature, value in scoring.beside.items():
                beside.setdefault(signature, {})[split] = value
            scoring.keep(folder, split, translator.search.signature)
        tracker.log({f"final/{split}": value for split, value in metrics.items()}, step=0)
        return Outcome(
            metrics=metrics,
            metric="bleu",
            signature=scoring.signature,
            bound=(corpus.bound or {}).get("test"),
            cost=cost_of_members(self.runs, stopwatch),
            beside=beside,
        )


def _score(
    translator: Translator, corpus: ParallelCorpus, split: str, scoring: TranslationScoring
) -> None:
    pairs = corpus.splits[split]
    scoring.begin()
    found = translator.translate(pairs.source_text)
    log_probs = translator.score(pairs.source_text, pairs.target_text)
    best = [of_one[0] for of_one in found]
    scoring.add(pairs, range(len(pairs)), best, [-log_prob for log_prob in log_probs])
