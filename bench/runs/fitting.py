"""Learning by counting or storing: a baseline fitted, then measured on validation and test."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.captioning.baselines.base import describe
from bench.captioning.data.corpus import CaptionCorpus
from bench.core.config import RunConfig
from bench.core.outcome import Outcome
from bench.core.provenance import Stopwatch, cost_of
from bench.domains import Corpus, as_text
from bench.frames.baselines import predict_frames
from bench.frames.data.corpus import FrameCorpus
from bench.runs.resolve import Resolved
from bench.text.baselines.base import Baseline, Report
from bench.text.data.corpus import TextCorpus
from bench.text.metric import bound_value, metric_name, metric_value, text_signature
from bench.text.outputs import write_log_probs
from bench.tracking.tracker import Tracker
from bench.training.baselines import baseline_class
from bench.training.progress import Style


def count(
    resolved: Resolved,
    corpus: Corpus,
    folder: Path,
    *,
    style: Style,
    tracker: Tracker,
    splits: Sequence[str] = ("valid", "test"),
) -> Outcome:
    """Fit the baseline and measure it on `splits`.

    Per-token log-probabilities, captions or predicted frames are kept in `folder`.
    """
    report = None if style == "quiet" else _tell
    if isinstance(corpus, CaptionCorpus):
        outcome = describe(resolved.config, corpus, folder, splits=splits, report=report)
    elif isinstance(corpus, FrameCorpus):
        outcome = predict_frames(resolved.config, corpus, folder, splits=splits)
    else:
        text = as_text(corpus, task=resolved.card.task)
        outcome = _predict(resolved.config, text, folder, splits=splits, report=report)
    tracker.log({f"final/{split}": value for split, value in outcome.metrics.items()}, step=0)
    return outcome


def _predict(
    config: RunConfig,
    corpus: TextCorpus,
    folder: Path,
    *,
    splits: Sequence[str],
    report: Report | None,
) -> Outcome:
    options = {key: value for key, value in config.model.items() if key != "name"}
    baseline = baseline_class(str(config.model["name"]))(**options)
    assert isinstance(baseline, Baseline)
    end = corpus.end_of_sentence
    stopwatch = Stopwatch.start()
    baseline.fit(
        corpus.splits["train"],
        valid=corpus.splits["valid"],
        vocabulary_size=len(corpus.vocabulary.symbols),
        end_of_sentence=None if end is None else corpus.vocabulary.index[end],
        report=report,
    )
    fitting_sec = time.perf_counter() - stopwatch.sec
    metrics = {}
    for split in splits:
        log_probs_N = baseline.log_probs(corpus.splits[split])
        write_log_probs(folder, split, log_probs_N)
        metrics[split] = metric_value(corpus, -math.fsum(log_probs_N) / len(log_probs_N))
    return Outcome(
        metrics=metrics,
        metric=metric_name(corpus),
        signature=text_signature(corpus),
        bound=bound_value(corpus),
        cost=cost_of(
            stopwatch,
            num_parameters=baseline.num_parameters,
            tokens_per_sec=round(len(corpus.splits["train"]) / fitting_sec, 1),
        ),
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
