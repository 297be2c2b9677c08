"""Describing without training: a caption baseline fitted, then scored on validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.captioning.baselines.baseline import CaptionBaseline
from bench.captioning.caption_scoring import CaptionScoring
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.metrics.protocol import CaptionProtocol
from bench.core.config import RunConfig
from bench.core.outcome import Outcome
from bench.core.provenance import begin, cost_since
from bench.text.baselines.baseline import Report
from bench.training.baselines import baseline_class


def describe(
    config: RunConfig,
    corpus: CaptionCorpus,
    folder: Path,
    *,
    splits: Sequence[str],
    report: Report | None = None,
) -> Outcome:
    """Fit the baseline and score its captions of `splits`, which are kept in `folder`."""
    options = {key: value for key, value in config.model.items() if key != "name"}
    model = baseline_class(str(config.model["name"]))(**options)
    assert isinstance(model, CaptionBaseline)
    begun = begin()
    model.fit(corpus, seed=config.seed, report=report)
    num_skipped = len(corpus.skipped)
    scoring = CaptionScoring(corpus.splits["train"], num_skipped=num_skipped)
    metrics = dict[str, float]()
    beside: dict[str, dict[str, float]] = {}
    for split in splits:
        scored = scoring.score(corpus.splits[split], model.turns(split))
        scored.keep(folder, split, _how(config))
        metrics[split] = scored.cider
        for signature, value in scored.beside.items():
            beside.setdefault(signature, {})[split] = value
    held_against = model.references(corpus.splits["test"])
    return Outcome(
        metrics=metrics,
        metric="cider",
        signature=CaptionProtocol.of(held_against, num_skipped=num_skipped).signature("cider"),
        bound=(corpus.bound or {}).get("test"),
        cost=cost_since(begun, num_parameters=model.num_parameters),
        beside=beside,
    )


def _how(config: RunConfig) -> str:
    """The model and its options, as a signature."""
    options = (f"{key}:{value}" for key, value in config.model.items() if key != "name")
    return "|".join([str(config.model["name"]), *options])
