"""Baselines fitted and evaluated as runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.core.outcome import Outcome
from bench.data.corpora import Corpus
from bench.domains import baseline_class
from bench.runs.resolve import Resolved
from bench.tracking.tracker import Tracker
from bench.training.baseline import Baseline
from bench.training.progress import Style


def fit_baseline(
    resolved: Resolved,
    corpus: Corpus,
    folder: Path,
    *,
    style: Style,
    tracker: Tracker,
    splits: Sequence[str] = ("valid", "test"),
) -> Outcome:
    """Fit the baseline of a configuration and evaluate it on `splits`; outputs go to `folder`."""
    config, card = resolved.config, resolved.card
    options = {key: value for key, value in config.model.items() if key != "name"}
    cls = baseline_class(card.kind, str(config.model["name"]), task=card.task)
    baseline: Baseline = cls(**options)
    report = None if style == "quiet" else _report
    outcome = baseline.measure(config, corpus, folder, splits=splits, report=report)
    tracker.log({f"final/{split}": value for split, value in outcome.metrics.items()}, step=0)
    return outcome


def _report(line: str) -> None:
    print(line, file=sys.stderr)
