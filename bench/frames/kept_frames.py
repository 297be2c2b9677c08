"""What models predicted of the sequences of a split: read where it was kept, made again elsewhere.

Whatever made it, its cross-entropy must be the value in the record.
"""

from __future__ import annotations

from typing import Literal

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.frames.outputs import PredictedFrames, frames_path, read_frames
from bench.runs.kept import read_or_make

TOLERANCE = 1e-4
"""Relative: what another machine's rounding makes of ten frames that follow from each other."""


def kept_frames(
    suite: Suite, record: Record, split: str, *, missing: Literal["make", "leave"] = "make"
) -> PredictedFrames:
    """The predictions of a finished run.

    Raises BenchError where they are gone and cannot, or with `leave` may not, be made again, and
    where their cross-entropy is not the record's.
    """
    what = "predicted frames"
    found = read_or_make(suite, record, split, what=what, read=read_frames, missing=missing)
    value, expected = found.metrics()["cross-entropy"], record.metrics[split]
    if not abs(value - expected) <= TOLERANCE * expected:
        path = frames_path(suite.artifacts(record.task, record.id), split)
        raise BenchError(
            f"{path}: cross-entropy {value:.3f} where the record {record.id} says {expected:.3f}; "
            "delete it, or run again with --again"
        )
    return found
