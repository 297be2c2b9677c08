"""What recognisers made of a split: read where it was kept, made again from the weights elsewhere.

Whatever made it, its error rate must be the value in the record.
"""

from __future__ import annotations

from typing import Literal

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.kept import read_or_make
from bench.speech.outputs import Recognitions, read_recognitions, recognitions_path

TOLERANCE_PERCENT = 1e-6


def kept_recognitions(
    suite: Suite, record: Record, split: str, *, missing: Literal["make", "leave"] = "make"
) -> Recognitions:
    """The recognitions of a finished run.

    Raises BenchError where they are gone and cannot, or with `leave` may not, be made again, and
    where their error rate is not the record's.
    """
    found = read_or_make(
        suite, record, split, what="recognitions", read=read_recognitions, missing=missing
    )
    rate, expected = found.errors().total.rate, record.metrics[split]
    path = recognitions_path(suite.artifacts(record.task, record.id), split)
    if not abs(rate - expected) <= TOLERANCE_PERCENT:
        raise BenchError(
            f"{path}: {rate:.4f} % errors where the record {record.id} "
            f"says {expected:.4f}; delete it, or run again with --again"
        )
    return found
