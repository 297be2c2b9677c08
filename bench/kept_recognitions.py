"""What recognisers made of a split: read where it was kept, made again from the weights elsewhere.

Whatever made it, its error rate must be the value in the record.
"""

from __future__ import annotations

from typing import Literal

from bench.errors import BenchError
from bench.recognitions import Recognitions, read_recognitions, recognitions_path
from bench.record import Record
from bench.suite import Suite

TOLERANCE_PERCENT = 1e-6


def kept_recognitions(
    suite: Suite, record: Record, split: str, *, missing: Literal["make", "leave"] = "make"
) -> Recognitions:
    """The recognitions of a finished run.

    Raises BenchError where they are gone and cannot, or with `leave` may not, be made again, and
    where their error rate is not the record's.
    """
    folder = suite.artifacts(record.task, record.id)
    found = read_recognitions(folder, split)
    if found is None:
        if missing == "leave":
            raise BenchError(
                f"recognitions of the {split} split were not kept here; `--missing make` makes "
                "them again from the weights"
            )
        _make(suite, record, split)
        found = read_recognitions(folder, split)
        assert found is not None
    rate, expected = found.errors().total.rate, record.metrics[split]
    if not abs(rate - expected) <= TOLERANCE_PERCENT:
        raise BenchError(
            f"{recognitions_path(folder, split)}: {rate:.4f} % errors where the record {record.id} "
            f"says {expected:.4f}; delete it, or run again with --again"
        )
    return found


def _make(suite: Suite, record: Record, split: str) -> None:
    """Decode again; torch is loaded only where it is needed."""
    from bench.finished import bring_back, read_again

    read_again(bring_back(suite, record), split)
