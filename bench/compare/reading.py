"""Test units of runs, read from their outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.compare.subjects import Subject
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.outputs import Missing, Units, find_outputs


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Options of reading units."""

    split: str
    block_length: int | None = None
    """Tokens of a block of text; a default length unless given."""
    missing: Missing = "make"
    """Make per-token log-probabilities that a run did not keep, or go without."""
    say: Callable[[str], None] | None = None
    """Told what takes long."""


def read_units(suite: Suite, subject: Subject, reading: Reading) -> list[Units]:
    """The test units of every run of `subject`.

    Raises BenchError that says what is missing and how to get it.
    """
    return [_units_of(suite, record, reading) for record in subject.finished]


def _units_of(suite: Suite, record: Record, reading: Reading) -> Units:
    outputs = find_outputs(suite, record, reading.split, missing=reading.missing, say=reading.say)
    return outputs.units(reading.block_length)
