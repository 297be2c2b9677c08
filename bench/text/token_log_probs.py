"""Per-token log-probabilities of finished runs: read where they were kept, made again elsewhere.

Whatever made them, their mean must be the value in the record.
"""

from __future__ import annotations

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.finished import FinishedRun, bring_back, is_evaluation
from bench.runs.regenerate import regenerate
from bench.text.outputs import Floats, kept_log_probs, log_probs_path


def token_log_probs(suite: Suite, record: Record, split: str) -> Floats:
    """Natural log-probability of each token of `split` [N] under a finished run.

    A neural run is read again from its weights, a baseline is fitted again, and the result is
    kept. Raises BenchError where that cannot be done, or where the outcome is not the record's.
    """
    finished = bring_back(suite, record)
    kept_N = kept_log_probs(suite, record, split)
    if kept_N is not None:
        return kept_N
    remake(finished, split)
    made_N = kept_log_probs(suite, record, split)
    assert made_N is not None
    return made_N


def remake(finished: FinishedRun, split: str) -> None:
    """Make the log-probabilities of a finished run again and keep them."""
    name = finished.record.model
    if name == "mix" or is_evaluation(finished.record):
        verb = "mix" if name == "mix" else "evaluate"
        raise BenchError(
            f"{log_probs_path(finished.folder, split)} is missing: make {finished.id} again with "
            f"`bench {verb} ... --again`"
        )
    regenerate(finished, split)
