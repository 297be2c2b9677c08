"""Per-token log-probabilities of finished runs: read where they were kept, made again elsewhere.

Whatever made them, their mean must be the value in the record.
"""

from __future__ import annotations

import math

from bench.baselines import BASELINES
from bench.baselines.counting import count
from bench.errors import BenchError
from bench.finished import FinishedRun, bring_back, is_evaluation, load_objective
from bench.log_probs import Floats, log_probs_path, read_log_probs
from bench.objectives.text_metric import nats_per_symbol
from bench.record import Record
from bench.run import corpus_of
from bench.suite import Suite
from bench.track import NoTracker
from bench.training.fit import evaluate

TOLERANCE_NATS = 1e-3
"""Room for float32 sums and for products that another machine rounds otherwise."""


def token_log_probs(suite: Suite, record: Record, split: str) -> Floats:
    """Natural log-probability of each token of `split` [N] under a finished run.

    A neural run is read again from its weights, a baseline is fitted again, and the result is
    kept. Raises BenchError where that cannot be done, or where the outcome is not the record's.
    """
    finished = bring_back(suite, record)
    kept_N = read_log_probs(finished.folder, split)
    if kept_N is not None:
        return _checked(kept_N, finished, split)
    remake(finished, split)
    made_N = read_log_probs(finished.folder, split)
    assert made_N is not None
    return _checked(made_N, finished, split)


def remake(finished: FinishedRun, split: str) -> None:
    """Make the log-probabilities of a finished run again and keep them."""
    finished.folder.mkdir(parents=True, exist_ok=True)
    name, resolved = finished.record.model, finished.resolved
    if name == "mix" or is_evaluation(finished.record):
        verb = "mix" if name == "mix" else "evaluate"
        raise BenchError(
            f"{log_probs_path(finished.folder, split)} is missing: make {finished.id} again with "
            f"`bench {verb} ... --again`"
        )
    corpus = corpus_of(resolved)
    if name in BASELINES:
        count(resolved, corpus, finished.folder, style="quiet", tracker=NoTracker())
    else:
        evaluate(load_objective(finished, corpus), split, keep=finished.folder)


def _checked(log_probs_N: Floats, finished: FinishedRun, split: str) -> Floats:
    record = finished.record
    expected = nats_per_symbol(record.metric, record.metrics[split])
    found = -math.fsum(log_probs_N) / max(len(log_probs_N), 1)
    if not abs(found - expected) <= TOLERANCE_NATS:
        raise BenchError(
            f"{log_probs_path(finished.folder, split)}: {found:.4f} nats a token where the record "
            f"{record.id} says {expected:.4f}; delete it, or run again with --again"
        )
    return log_probs_N
