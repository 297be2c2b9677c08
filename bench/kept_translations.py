"""What translation models made of a split: read where it was kept, made again elsewhere.

Whatever made it, its BLEU must be the value in the record.
"""

from __future__ import annotations

from typing import Literal

from bench.errors import BenchError
from bench.record import Record
from bench.suite import Suite
from bench.translations import Translations, read_translations, translations_path

TOLERANCE_PERCENT = 0.05
"""Room for a sentence or two of a thousand that another machine's rounding translates otherwise."""


def kept_translations(
    suite: Suite, record: Record, split: str, *, missing: Literal["make", "leave"] = "make"
) -> Translations:
    """The translations of a finished run.

    Raises BenchError where they are gone and cannot, or with `leave` may not, be made again, and
    where their BLEU is not the record's.
    """
    folder = suite.artifacts(record.task, record.id)
    found = read_translations(folder, split)
    if found is None:
        if missing == "leave":
            raise BenchError(
                f"translations of the {split} split were not kept here; `--missing make` makes "
                "them again from the weights"
            )
        _make(suite, record, split)
        found = read_translations(folder, split)
        assert found is not None
    value, expected = found.counts().value, record.metrics[split]
    if not abs(value - expected) <= TOLERANCE_PERCENT:
        raise BenchError(
            f"{translations_path(folder, split)}: BLEU {value:.2f} where the record {record.id} "
            f"says {expected:.2f}; delete it, or run again with --again"
        )
    return found


def _make(suite: Suite, record: Record, split: str) -> None:
    """Translate again; torch is loaded only where it is needed."""
    from bench.finished import bring_back, read_again

    read_again(bring_back(suite, record), split)
