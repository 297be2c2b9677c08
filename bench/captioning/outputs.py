"""What was written of each image, kept beside a run's weights.

    captions-test.jsonl    which scores they are and how much is copied, then a line an image:
                           its name, hypothesis, references, log-probability, nearest copy

Needs neither weights nor torch, so that comparing runs and looking at their captions is quick. A
model that is held against each image's captions in turns (people) has a line for each turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from bench.captioning.metrics import CaptionScores, join, pool, score_captions
from bench.captioning.metrics.copying import Copying
from bench.core.errors import BenchError
from bench.core.json_lines import read_json_lines, write_json_lines
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.kept import read_or_make


class CaptionedImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image and what was written of it; words stand between blanks."""

    image: str
    hypothesis: str
    references: tuple[str, ...]
    log_prob: float | None = None
    """Natural, of the words and the end; None of a model without probabilities."""
    nearest: str
    """The training caption that is most like the hypothesis."""
    nearest_image: str
    """The training image that it was written of."""
    longest: int
    """Words of the longest n-gram of the hypothesis that a training caption has."""
    turn: int = 0

    @property
    def is_copy(self) -> bool:
        """Whether the hypothesis stands in the training captions."""
        return self.hypothesis == self.nearest


class CaptionsHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of captions."""

    signature: str
    search: str
    copying: Copying
    people: Copying
    """The same of the images' own captions."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Captions:
    """All images of a split, in the corpus's order, turn by turn."""

    header: CaptionsHeader
    lines: Sequence[CaptionedImage]

    @property
    def turns(self) -> list[list[CaptionedImage]]:
        """The lines of each turn."""
        turns: dict[int, list[CaptionedImage]] = {}
        for line in self.lines:
            turns.setdefault(line.turn, []).append(line)
        return list(turns.values())

    def scores(self) -> CaptionScores:
        """Image by image; several turns are pooled."""
        return pool(self._by_turn)

    def by_line(self) -> CaptionScores:
        """Caption by caption, turn after turn."""
        return join(self._by_turn)

    @cached_property
    def _by_turn(self) -> list[CaptionScores]:
        return [
            score_captions(
                [line.hypothesis.split() for line in lines],
                [[caption.split() for caption in line.references] for line in lines],
            )
            for lines in self.turns
        ]


def captions_path(folder: Path, split: str) -> Path:
    """Where the captions of a split are kept."""
    return folder / f"captions-{split}.jsonl"


def write_captions(folder: Path, split: str, made: Captions) -> None:
    """Keep them."""
    write_json_lines(captions_path(folder, split), made.header, made.lines)


def read_captions(folder: Path, split: str) -> Captions | None:
    """What was kept; None where nothing was."""
    found = read_json_lines(captions_path(folder, split), CaptionsHeader, CaptionedImage)
    return Captions(header=found[0], lines=found[1]) if found else None


# What models wrote of the images of a split: read where it was kept, made again elsewhere.
#
# Whatever made it, its CIDEr must be the value in the record.


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
