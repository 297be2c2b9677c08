"""What models wrote of the images of a split: read where it was kept, made again elsewhere.

Whatever made it, its CIDEr must be the value in the record.
"""

from __future__ import annotations

from typing import Literal

from bench.captioning.outputs import Captions, captions_path, read_captions
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.kept import read_or_make

TOLERANCE_PERCENT = 0.2
"""Room for a caption or two of a thousand that another machine's rounding writes otherwise."""


def kept_captions(
    suite: Suite, record: Record, split: str, *, missing: Literal["make", "leave"] = "make"
) -> Captions:
    """The captions of a finished run.

    Raises BenchError where they are gone and cannot, or with `leave` may not, be made again, and
    where their CIDEr is not the record's.
    """
    found = read_or_make(suite, record, split, what="captions", read=read_captions, missing=missing)
    value, expected = found.scores().value, record.metrics[split]
    path = captions_path(suite.artifacts(record.task, record.id), split)
    if not abs(value - expected) <= TOLERANCE_PERCENT:
        raise BenchError(
            f"{path}: CIDEr {value:.2f} where the record {record.id} "
            f"says {expected:.2f}; delete it, or run again with --again"
        )
    return found
