"""Per-token log-probabilities that a run left behind, checked against its record.

Needs neither weights nor torch: what only reads does not wait for either.
"""

from __future__ import annotations

import math

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.text.objectives.text_metric import nats_per_symbol
from bench.text.outputs import Floats, log_probs_path, read_log_probs

TOLERANCE_NATS = 1e-3
"""Room for float32 sums and for products that another machine rounds otherwise."""


def kept_log_probs(suite: Suite, record: Record, split: str) -> Floats | None:
    """Natural log-probability of each token of `split` [N]; None where nothing was kept.

    Raises BenchError where their mean is not the value in the record.
    """
    folder = suite.artifacts(record.task, record.id)
    kept_N = read_log_probs(folder, split)
    if kept_N is None:
        return None
    expected = nats_per_symbol(record.metric, record.metrics[split])
    found = -math.fsum(kept_N) / max(len(kept_N), 1)
    if not abs(found - expected) <= TOLERANCE_NATS:
        raise BenchError(
            f"{log_probs_path(folder, split)}: {found:.4f} nats a token where the record "
            f"{record.id} says {expected:.4f}; delete it, or run again with --again"
        )
    return kept_N
