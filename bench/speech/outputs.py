"""What a recogniser made of each utterance, kept beside a run's weights.

    recognitions-test.jsonl    the signature and the folding, then a line an utterance:
                               references, hypothesis, log-probabilities, edits

Needs neither weights nor torch, so that comparing runs and looking at their errors is quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.core.json_lines import read_json_lines, write_json_lines
from bench.speech.metrics.folding import Folding
from bench.speech.metrics.phone_error_rate import PhoneErrors, phone_errors


class Recognition(msgspec.Struct, frozen=True, kw_only=True):
    """One utterance; labels as the model has them, with blanks between."""

    utterance: str
    speaker: str
    reference: str
    hypothesis: str
    reference_nats: float
    """-log p(reference | sound)."""
    hypothesis_nats: float | None
    """The same of the hypothesis; None where the decoder does not compute it."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of recognitions."""

    signature: str
    folding: str
    target: dict[str, str | None]
    """Label -> the one that is scored in its place, None where it is left out."""


@dataclass(frozen=True, kw_only=True)
class Recognitions:
    """All utterances of a split, in the corpus's order."""

    header: Header
    lines: Sequence[Recognition]

    def errors(self) -> PhoneErrors:
        """The edits, utterance by utterance, after folding."""
        return phone_errors(
            [line.reference.split() for line in self.lines],
            [line.hypothesis.split() for line in self.lines],
            utterances=[line.utterance for line in self.lines],
            speakers=[line.speaker for line in self.lines],
            folding=Folding(name=self.header.folding, target=self.header.target),
        )


def recognitions_path(folder: Path, split: str) -> Path:
    """Where the recognitions of a split are kept."""
    return folder / f"recognitions-{split}.jsonl"


def write_recognitions(folder: Path, split: str, found: Recognitions) -> None:
    """Keep them; with each line go its substitutions, deletions, insertions and labels."""
    counts = found.errors().sums.tolist()
    lines = [
        {**msgspec.structs.asdict(line), "edits": [int(count) for count in of_line]}
        for line, of_line in zip(found.lines, counts, strict=True)
    ]
    write_json_lines(recognitions_path(folder, split), found.header, lines)


def read_recognitions(folder: Path, split: str) -> Recognitions | None:
    """What was kept; None where nothing was."""
    found = read_json_lines(recognitions_path(folder, split), Header, Recognition)
    return Recognitions(header=found[0], lines=found[1]) if found else None
