"""`bench evaluate --mode translate`: finished runs measured by another search or as an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.outcome import Outcome
from bench.core.record import Record
from bench.core.suite import Suite
from bench.data.corpora import Corpus
from bench.runs.ensembles import (
    Device,
    SearchOverrides,
    ensemble_outcome,
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
from bench.tracking.tracker import Tracker
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.metrics import ReplaceUnknown
from bench.translation.objective import TranslationObjective
from bench.translation.scoring import TranslationMetric
from bench.translation.translator import Translator

SPLITS = ("valid", "test")


@dataclass(frozen=True, kw_only=True)
class TranslationOverrides(SearchOverrides):
    """Options of translating; None: as the first run was measured."""

    replace_unknown: ReplaceUnknown | None = None


def find_translators(suite: Suite, names: Sequence[str]) -> list[FinishedRun]:
    """Find finished runs that translate; BenchError as in `find_members`."""
    objectives = ("translation",)
    return find_members(suite, names, objectives=objectives, task="translation", act="translate")


def make_translator(
    runs: Sequence[FinishedRun], overrides: TranslationOverrides, *, device: Device = "cpu"
) -> Translator:
    """Load runs as one translator; BenchError for models whose vocabularies differ."""
    objectives = load_members(runs, TranslationObjective, device=device)
    return Translator(
        objectives,
        names=[finished.id for finished in runs],
        max_length_factor=objectives[0].options.max_length_factor,
        **search_options(runs[0], overrides),
    )


def evaluate(
    suite: Suite,
    runs: Sequence[str],
    settings: Mapping[str, Any],
    *,
    device: Device = "cpu",
    options: RunOptions | None = None,
) -> Record:
    """Translate validation and test by some runs together, and record it.

    Raises BenchError as `find_translators` and `make_translator` do.
    """
    found, overrides = in_order(find_translators(suite, runs)), TranslationOverrides(**settings)
    resolved = resolve_members(found, "translate", search_options(found[0], overrides))
    return run(resolved, suite, options, work=partial(_translate, found, overrides, device))


def _translate(
    runs: Sequence[FinishedRun],
    overrides: TranslationOverrides,
    device: Device,
    _resolved: Resolved,
    corpus: Corpus,
    folder: Path,
    *,
    tracker: Tracker,
    **_unused: object,
) -> Outcome:
    """Translate, score and keep both splits; see `bench.runs.run.Work`."""
    stopwatch = Stopwatch.start()
    assert isinstance(corpus, ParallelCorpus)
    translator = make_translator(runs, overrides, device=device)
    metric = TranslationMetric(
        corpus, search=translator.search.signature, unknown=translator.replace_unknown
    )
    scores = {}
    for split in SPLITS:
        pairs = metric.split = corpus.splits[split]
        metric.reset()
        best = [of_one[0] for of_one in translator.translate(pairs.source_text)]
        nats = [-log_prob for log_prob in translator.score(pairs.source_text, pairs.target_text)]
        metric.add(range(len(pairs)), best, nats)
        scores[split] = metric.score(sum(nats) / len(nats))
        metric.keep(folder, split)
    bound = (corpus.bound or {}).get("test")
    return ensemble_outcome(metric, scores, runs, bound=bound, stopwatch=stopwatch, tracker=tracker)
