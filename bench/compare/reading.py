"""Where the test units of a run come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.captioning.outputs import kept_captions
from bench.compare.subjects import Subject
from bench.compare.units import Units, token_blocks
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.frames.outputs import kept_frames
from bench.speech.outputs import kept_recognitions
from bench.text.outputs import Floats, kept_log_probs
from bench.translation.outputs import kept_translations

Missing = Literal["make", "leave"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How units are read."""

    split: str
    block_length: int | None = None
    """Of text, in tokens; a usual one unless given."""
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
    objective = str(record.config["objective"].get("name", suite.card(record.task).objective))
    if objective not in READERS:
        raise BenchError(f"runs of the objective {objective!r} keep no test units")
    return READERS[objective](suite, record, reading)


def _text(suite: Suite, record: Record, reading: Reading) -> Units:
    log_probs_N = kept_log_probs(suite, record, reading.split)
    if log_probs_N is None:
        log_probs_N = _made_again(suite, record, reading)
    return token_blocks(log_probs_N, metric=record.metric, block_length=reading.block_length)


def _made_again(suite: Suite, record: Record, reading: Reading) -> Floats:
    if reading.missing == "leave":
        raise BenchError(
            f"per-token log-probabilities of the {reading.split} split were not kept here; "
            "`--missing make` makes them again from the weights, or by fitting a baseline again"
        )
    if reading.say:
        reading.say(
            f"making the per-token log-probabilities of {record.id} again (the run took "
            f"{record.cost.seconds:,.0f} s; --missing leave goes without)"
        )
    from bench.text.token_log_probs import token_log_probs

    return token_log_probs(suite, record, reading.split)


def _speech(suite: Suite, record: Record, reading: Reading) -> Units:
    if reading.block_length is not None:
        raise BenchError("--block-length is of text: speech is resampled by utterances")
    found = kept_recognitions(suite, record, reading.split, missing=reading.missing)
    return found.errors()


def _translation(suite: Suite, record: Record, reading: Reading) -> Units:
    if reading.block_length is not None:
        raise BenchError("--block-length is of text: translations are resampled by sentences")
    found = kept_translations(suite, record, reading.split, missing=reading.missing)
    return found.counts()


def _captioning(suite: Suite, record: Record, reading: Reading) -> Units:
    if reading.block_length is not None:
        raise BenchError("--block-length is of text: captions are resampled by images")
    found = kept_captions(suite, record, reading.split, missing=reading.missing)
    return found.scores()


def _frames(suite: Suite, record: Record, reading: Reading) -> Units:
    if reading.block_length is not None:
        raise BenchError("--block-length is of text: frames are resampled by sequences")
    return kept_frames(suite, record, reading.split, missing=reading.missing)


Reader = Callable[[Suite, Record, Reading], Units]
READERS: dict[str, Reader] = {
    "captioning": _captioning,
    "ctc": _speech,
    "frame-prediction": _frames,
    "language-model": _text,
    "transducer": _speech,
    "translation": _translation,
}
"""Objective -> how its runs are taken apart."""
