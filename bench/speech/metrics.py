"""Phone error rate: edits in percent of the reference labels, summed over utterances.

Shapes: U utterances, X any leading dimensions; 4 statistics of an utterance: substitutions,
deletions, insertions, reference labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from bench.core.errors import BenchError, nearest

# Edits between label sequences, by a minimal alignment.
#
# All three edits cost 1 (V. Levenshtein, 1966). Where several alignments have the fewest edits
# their number is the same, and so is insertions minus deletions; which one is shown is rapidfuzz's
# choice. Scorers that weigh a substitution against an insertion and a deletion, as NIST's sclite
# does with 4 : 3 + 3, may count more edits.


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


# Which labels were taken for which.
#
# Shapes: L labels; row and column L stand for "nothing".


NOTHING = "-"


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """Counts [L+1, L+1]: rows are reference labels, the last one insertions; columns what stood
    for them, the last one deletions."""

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, alignments: Iterable[Sequence[Pair]], labels: Sequence[str]) -> Confusion:
        """Count the pairs of some alignments over `labels`."""
        number: dict[str | None, int] = {label: i for i, label in enumerate(labels)}
        number[None] = len(labels)
        counts = np.zeros((len(labels) + 1, len(labels) + 1), dtype=np.int64)
        for pairs in alignments:
            for shown, heard in pairs:
                counts[number[shown], number[heard]] += 1
        return cls(labels=tuple(labels), counts=counts)

    def most_frequent(self, num_confusions: int) -> list[tuple[str, str, int]]:
        """The most frequent edits as (reference, hypothesis, count), NOTHING where there is none.

        Ties stand in the order of the labels.
        """
        names = (*self.labels, NOTHING)
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:num_confusions]
        rows, columns = np.unravel_index(order, wrong.shape)
        found = zip(rows.tolist(), columns.tolist(), strict=True)
        return [(names[i], names[j], int(wrong[i, j])) for i, j in found if wrong[i, j]]


# Labels that scoring does not tell apart.
#
# K.-F. Lee and H.-W. Hon (IEEE Trans. ASSP 37, 1989) score TIMIT's 61 labels as 39: closures and
# pauses become one silence, close vowels one vowel, and the glottal stop q nothing. Both reference
# and hypothesis are folded; like neighbours that folding leaves behind stay apart.


@dataclass(frozen=True, kw_only=True)
class Folding:
    """A map of labels to those that are scored; None leaves a label out.

    `name` goes into signatures.
    """

    name: str
    target: Mapping[str, str | None]

    def __post_init__(self) -> None:
        if not self.labels:
            raise BenchError(f"folding {self.name!r} leaves no label to score")

    @classmethod
    def none(cls, labels: Iterable[str]) -> Folding:
        """Every label for itself."""
        return cls(name="none", target={label: label for label in labels})

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that are scored, sorted."""
        return tuple(sorted({label for label in self.target.values() if label is not None}))

    def fold(self, sequence: Sequence[str]) -> tuple[str, ...]:
        """The sequence as it is scored; an unknown label is an error."""
        folded = []
        for label in sequence:
            if label not in self.target:
                hint = nearest(label, self.target)
                raise BenchError(f"unknown label {label!r} for folding {self.name!r}, {hint}")
            if (scored := self.target[label]) is not None:
                folded.append(scored)
        return tuple(folded)


Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SpeakerErrors:
    """One line of the table of speakers."""

    speaker: str
    num_utterances: int
    edits: Edits


@dataclass(frozen=True, kw_only=True, eq=False)
class PhoneErrors:
    """Edits utterance by utterance: the units of a bootstrap, whose sums [U, 4] give the rate."""

    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    sums: Floats
    confusion: Confusion

    @property
    def noun(self) -> str:
        """The units in words, with their number."""
        num_labels = int(self.sums[:, 3].sum())
        return f"{len(self.sums):,} utterances of {num_labels:,} labels"

    @property
    def method(self) -> str:
        """How sums over units become the metric."""
        return "edits and reference labels are added over utterances and divided"

    def metric(self, sums_X4: Floats) -> Floats:
        """The phone error rate in percent, [X], of added statistics."""
        return np.asarray(100 * sums_X4[..., :3].sum(-1) / sums_X4[..., 3])

    @property
    def total(self) -> Edits:
        """All utterances together."""
        return _edits(self.sums.sum(0))

    def by_speaker(self) -> list[SpeakerErrors]:
        """A line for each speaker, sorted by name."""
        lines = []
        for speaker in sorted(set(self.speakers)):
            own = np.array([one == speaker for one in self.speakers])
            edits = _edits(self.sums[own].sum(0))
            lines.append(SpeakerErrors(speaker=speaker, num_utterances=int(own.sum()), edits=edits))
        return lines


def phone_errors(
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[Sequence[str]],
    *,
    utterances: Sequence[str],
    speakers: Sequence[str],
    folding: Folding,
) -> PhoneErrors:
    """Score what was recognised of each utterance; both sides are folded first."""
    numbers = [len(references), len(hypotheses), len(utterances), len(speakers)]
    if len(set(numbers)) != 1:
        raise BenchError(
            "{} references, {} hypotheses, {} utterances, {} speakers: give one of each for "
            "every utterance".format(*numbers)
        )
    alignments = [
        align(folding.fold(reference), folding.fold(hypothesis))
        for reference, hypothesis in zip(references, hypotheses, strict=True)
    ]
    edits = [count_edits(pairs) for pairs in alignments]
    if sum(one.num_reference for one in edits) == 0:
        raise BenchError("no reference label to score against: the error rate has no meaning")
    statistics = [
        (one.substitutions, one.deletions, one.insertions, one.num_reference) for one in edits
    ]
    return PhoneErrors(
        utterances=tuple(utterances),
        speakers=tuple(speakers),
        sums=np.array(statistics, dtype=np.float64),
        confusion=Confusion.of(alignments, folding.labels),
    )


def phone_error_signature(*, num_labels: int, folding: Folding, decoder: str) -> str:
    """What the number is: labels recognised, labels scored, alignment, decoder with its options."""
    scored = f"{len(folding.labels)}({folding.name})"
    for part in (folding.name, decoder):
        if "|" in part:
            raise BenchError(f"{part!r} cannot be part of a signature: leave out '|'")
    return (
        f"phone-error-rate|labels:{num_labels}|scored:{scored}|edits:levenshtein|decoder:{decoder}"
    )


def _edits(statistics_4: Floats) -> Edits:
    substitutions, deletions, insertions, num_reference = (int(number) for number in statistics_4)
    return Edits(
        substitutions=substitutions,
        deletions=deletions,
        insertions=insertions,
        num_reference=num_reference,
    )
