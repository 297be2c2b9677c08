"""What translation models made of a split: read where it was kept, made again elsewhere.

Whatever made it, its BLEU must be the value in the record.
"""

from __future__ import annotations

from typing import Literal

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.kept import read_or_make
from bench.translation.outputs import Translations, read_translations, translations_path

TOLERANCE_PERCENT = 0.05
"""Room for a sentence or two of a thousand that another machine's rounding translates otherwise."""


def kept_translations(
    suite: Suite, record: Record, split: str, *, missing: Literal["make", "leave"] = "make"
) -> Translations:
    """The translations of a finished run.

    Raises BenchError where they are gone and cannot, or with `leave` may not, be made again, and
    where their BLEU is not the record's.
    """
    found = read_or_make(
        suite, record, split, what="translations", read=read_translations, missing=missing
    )
    value, expected = found.counts().value, record.metrics[split]
    path = translations_path(suite.artifacts(record.task, record.id), split)
    if not abs(value - expected) <= TOLERANCE_PERCENT:
        raise BenchError(
            f"{path}: BLEU {value:.2f} where the record {record.id} "
            f"says {expected:.2f}; delete it, or run again with --again"
        )
    return found
