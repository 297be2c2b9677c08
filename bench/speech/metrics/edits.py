"""Edits between label sequences, by a minimal alignment.

All three edits cost 1 (V. Levenshtein, 1966). Where several alignments have the fewest edits their
number is the same, and so is insertions minus deletions; which one is shown is rapidfuzz's choice.
Scorers that weigh a substitution against an insertion and a deletion, as NIST's sclite does with
4 : 3 + 3, may count more edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

Pair = tuple[str | None, str | None]
"""A reference label and what stands for it: None for a deletion, a reference None an insertion."""


@dataclass(frozen=True, kw_only=True)
class Edits:
    """Counts of edits and of reference labels; they add up over utterances."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    num_reference: int = 0

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
            num_reference=self.num_reference + other.num_reference,
        )

    @property
    def errors(self) -> int:
        """All edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Edits in percent of the reference labels; nan without any."""
        return 100 * self.errors / self.num_reference if self.num_reference else float("nan")


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    """The two sequences side by side, with as few edits as possible."""
    number = {label: i for i, label in enumerate(dict.fromkeys([*reference, *hypothesis]))}
    operations = Levenshtein.opcodes(
        [number[label] for label in reference], [number[label] for label in hypothesis]
    )
    pairs: list[Pair] = []
    for operation in operations:
        shown = reference[operation.src_start : operation.src_end]
        heard = hypothesis[operation.dest_start : operation.dest_end]
        if operation.tag == "delete":
            pairs += [(label, None) for label in shown]
        elif operation.tag == "insert":
            pairs += [(None, label) for label in heard]
        else:  # equal and replace pair as many labels on either side
            pairs += zip(shown, heard, strict=True)
    return pairs


def count_edits(pairs: Sequence[Pair]) -> Edits:
    """The edits of an alignment."""
    deletions = sum(heard is None for _, heard in pairs)
    insertions = sum(shown is None for shown, _ in pairs)
    differing = sum(shown != heard for shown, heard in pairs)
    return Edits(
        substitutions=differing - deletions - insertions,
        deletions=deletions,
        insertions=insertions,
        num_reference=len(pairs) - insertions,
    )
