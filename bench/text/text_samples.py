"""Texts that a language model has drawn, kept beside a run's weights.

    texts-test.jsonl    how they were drawn, then a line a text

Needs neither weights nor torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.core.json_lines import read_json_lines, write_json_lines


class TextSample(msgspec.Struct, frozen=True, kw_only=True):
    """One text, from the start of a sentence on."""

    text: str


class TextSamplesHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of texts."""

    drawn: str
    """Such as `from p(w | history), seed 1`."""


@dataclass(frozen=True, kw_only=True)
class TextSamples:
    """All texts of a file."""

    header: TextSamplesHeader
    lines: Sequence[TextSample]


def text_samples_path(folder: Path, split: str) -> Path:
    """Where the texts that belong to a split's evaluation are kept."""
    return folder / f"texts-{split}.jsonl"


def write_text_samples(folder: Path, split: str, made: TextSamples) -> None:
    """Keep them."""
    write_json_lines(text_samples_path(folder, split), made.header, made.lines)


def read_text_samples(folder: Path, split: str) -> TextSamples | None:
    """What was kept; None where nothing was."""
    found = read_json_lines(text_samples_path(folder, split), TextSamplesHeader, TextSample)
    return TextSamples(header=found[0], lines=found[1]) if found else None
