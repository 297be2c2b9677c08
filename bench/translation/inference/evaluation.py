"""Finished translation models measured anew: by another search, or several of them as an ensemble.

Recorded as `bench.runs.ensembles` says, `evaluation: translate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.core.outcome import Outcome
from bench.core.provenance import begin
from bench.core.record import Record
from bench.core.suite import Suite
from bench.domains import Corpus
from bench.runs.ensembles import Device, cost_of_members, in_order, resolve_members, wished
from bench.runs.finished import FinishedRun
from bench.runs.resolve import Resolved
from bench.runs.run import Manners, run
from bench.tracking.tracker import Tracker
from bench.training.progress import Style
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.inference.runs import Wishes, find_translators, make_translator
from bench.translation.network.translator import Translator
from bench.translation.objectives.translation_scoring import TranslationScoring

SPLITS = ("valid", "test")


def evaluate_translators(
    suite: Suite,
    names: Sequence[str],
    wishes: Wishes,
    *,
    device: Device = "cpu",
    manners: Manners | None = None,
) -> Record:
    """Translate validation and test by the models of some runs together, and record it.

    Raises BenchError as `find_translators` and `make_translator` do.
    """
    runs = in_order(find_translators(suite, names))
    resolved = resolve_members(runs, "translate", wished(runs[0], wishes))
    work = Translating(runs=runs, wishes=wishes, device=device)
    return run(resolved, suite, manners, work=work)


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
        begun = begin()
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
            cost=cost_of_members(self.runs, begun),
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
