"""Finished translation models measured anew: by another search, or several of them as an ensemble.

A run of this kind has the configuration of its first model but for the options of the search, and
in `objective` how it was made: `evaluation: translate`, the number of models as `evaluation_models`
and which ones as `evaluation_of`. There seeds are counted from the first model's, so that the
ensembles of seeds 1 and 2 and of seeds 3 and 4 are two of one configuration.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench.config import Scalar
from bench.data.corpus import Corpus
from bench.data.parallel.corpus import ParallelCorpus
from bench.finished import FinishedRun
from bench.objectives.translation_scoring import TranslationScoring
from bench.outcome import Outcome
from bench.provenance import peak_memory_bytes
from bench.record import Cost, Record
from bench.resolve import Resolved
from bench.run import Manners, run
from bench.suite import Suite
from bench.track import Tracker
from bench.training.progress import Style
from bench.translate.runs import Device, Wishes, find_translators, make_translator, wished
from bench.translation.translator import Translator

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
    runs = sorted(find_translators(suite, names), key=lambda r: (r.record.seed, r.id))
    work = Translating(runs=runs, wishes=wishes, device=device)
    return run(resolve_translating(runs, wishes), suite, manners, work=work)


def resolve_translating(runs: Sequence[FinishedRun], wishes: Wishes) -> Resolved:
    """The configuration of the evaluation: the first model's, with how it is evaluated."""
    base = runs[0].resolved
    usual = base.config.objective
    search = {k: value for k, value in wished(runs[0], wishes).items() if value != usual[k]}
    added: dict[str, Scalar] = {
        "evaluation": "translate",
        "evaluation_of": _members(runs),
        "evaluation_models": len(runs),
        **search,
    }
    config = msgspec.structs.replace(base.config, objective={**usual, **added})
    keys = {f"objective.{key}": value for key, value in added.items()}
    return Resolved(
        card=base.card,
        config=config,
        choices=keys,
        recipe=runs[0].record.recipe,
        set_by_caller=sorted({*runs[0].record.set_by_caller, *keys}),
    )


def _members(runs: Sequence[FinishedRun]) -> str:
    """`gru-9d0e1f2a` alone, `gru-9d0e1f2a[0,1]` for two of its seeds, several with blanks."""
    distances: dict[str, list[str]] = {}
    for one in runs:
        distance = one.record.seed - runs[0].record.seed
        distances.setdefault(one.id.rpartition("-s")[0], []).append(str(distance))
    return " ".join(
        stem if found == ["0"] else f"{stem}[{','.join(found)}]"
        for stem, found in distances.items()
    )


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
        begun = time.perf_counter()
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
            cost=Cost(
                num_parameters=sum(one.record.cost.num_parameters for one in self.runs),
                seconds=round(time.perf_counter() - begun, 1),
                peak_memory_bytes=peak_memory_bytes(),
            ),
            products=self.runs[0].record.provenance.products,
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
