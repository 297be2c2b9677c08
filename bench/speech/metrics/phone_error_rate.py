"""Phone error rate: edits in percent of the reference labels, summed over utterances.

Shapes: U utterances, X any leading dimensions; 4 statistics of an utterance: substitutions,
deletions, insertions, reference labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.speech.metrics.confusion import Confusion
from bench.speech.metrics.edits import Edits, align, count_edits
from bench.speech.metrics.folding import Folding

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
