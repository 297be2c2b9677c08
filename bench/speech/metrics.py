"""Error rates of phones, characters or words: edits in percent of the reference, over a split.

Edits are those of a minimal alignment in which each costs 1 (V. Levenshtein, 1966). Where several
alignments have the fewest edits their number is the same, and so is insertions minus deletions;
the pairs are rapidfuzz's choice. Scorers that weigh a substitution against an insertion and a
deletion, as NIST's sclite does with 4 : 3 + 3, may count more edits.

Shapes: U utterances, X any leading dimensions; 4 statistics of an utterance:
substitutions, deletions, insertions, reference labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from bench.core.errors import BenchError, nearest

Floats: TypeAlias = NDArray[np.float64]
Pair: TypeAlias = tuple[str | None, str | None]
"""Reference label and recognised label: the second is None for a deletion, the first for an
insertion."""


class Edits(NamedTuple):
    """Counts of edits and of reference labels."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    num_reference: int = 0

    @property
    def errors(self) -> int:
        """All edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Edits in percent of the reference labels; nan without any."""
        return 100 * self.errors / self.num_reference if self.num_reference else float("nan")


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    """Pairs of an alignment with as few edits as possible."""
    number = {label: i for i, label in enumerate(dict.fromkeys([*reference, *hypothesis]))}
    operations = Levenshtein.opcodes(
        [number[label] for label in reference], [number[label] for label in hypothesis]
    )
    pairs: list[Pair] = []
    for operation in operations:
        spoken = reference[operation.src_start : operation.src_end]
        heard = hypothesis[operation.dest_start : operation.dest_end]
        if operation.tag == "delete":
            pairs += [(label, None) for label in spoken]
        elif operation.tag == "insert":
            pairs += [(None, label) for label in heard]
        else:  # equal and replace pair as many labels on either side
            pairs += zip(spoken, heard, strict=True)
    return pairs


def count_edits(pairs: Sequence[Pair]) -> Edits:
    """Edits of an alignment."""
    deletions = sum(heard is None for _, heard in pairs)
    insertions = sum(spoken is None for spoken, _ in pairs)
    differing = sum(spoken != heard for spoken, heard in pairs)
    return Edits(
        substitutions=differing - deletions - insertions,
        deletions=deletions,
        insertions=insertions,
        num_reference=len(pairs) - insertions,
    )


@dataclass(frozen=True, kw_only=True)
class Folding:
    """Map of labels to those that are scored; None leaves a label out.

    K.-F. Lee and H.-W. Hon (IEEE Trans. ASSP 37, 1989) score TIMIT's 61 labels as 39: closures and
    pauses become one silence, close vowels one vowel, and the glottal stop q nothing. Reference and
    hypothesis are folded; equal neighbours that folding leaves behind stay apart. `name` goes into
    signatures.
    """

    name: str
    target: Mapping[str, str | None]

    def __post_init__(self) -> None:
        if not self.labels:
            raise BenchError(f"folding {self.name!r} leaves no label to score")

    @property
    def labels(self) -> tuple[str, ...]:
        """Scored labels, sorted."""
        return tuple(sorted({label for label in self.target.values() if label is not None}))

    def fold(self, sequence: Sequence[str]) -> tuple[str, ...]:
        """Scored labels of a sequence; raises BenchError for an unknown label."""
        folded = []
        for label in sequence:
            if label not in self.target:
                hint = nearest(label, self.target)
                raise BenchError(f"unknown label {label!r} for folding {self.name!r}, {hint}")
            if (scored := self.target[label]) is not None:
                folded.append(scored)
        return tuple(folded)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelErrors:
    """Edits of each utterance, the units of a bootstrap: their sums [U, 4] give the rate."""

    speakers: tuple[str, ...]
    """Speaker of each utterance."""
    sums: Floats
    pairs: Counter[Pair]
    """Numbers of the pairs of all alignments."""

    @property
    def noun(self) -> str:
        """Units in words, with their number."""
        return f"{len(self.sums):,} utterances of {self.total.num_reference:,} labels"

    @property
    def method(self) -> str:
        """Sentence on how sums over units become the metric."""
        return "edits and reference labels are added over utterances and divided"

    def metric(self, sums_X4: Floats) -> Floats:
        """Error rate in percent [X] of added statistics."""
        return np.asarray(100 * sums_X4[..., :3].sum(-1) / sums_X4[..., 3])

    @property
    def total(self) -> Edits:
        """Edits of all utterances together."""
        return _added(self.sums)

    def by_speaker(self) -> dict[str, tuple[int, Edits]]:
        """Speaker -> number of utterances and their edits, sorted by name."""
        own = {name: np.array(self.speakers) == name for name in sorted(set(self.speakers))}
        return {name: (int(own_U.sum()), _added(self.sums[own_U])) for name, own_U in own.items()}

    def confusions(self, num_confusions: int) -> list[tuple[Pair, int]]:
        """Most frequent edits with their numbers; ties in the order of labels, None last."""
        wrong = [(pair, number) for pair, number in self.pairs.items() if pair[0] != pair[1]]
        wrong.sort(key=lambda edit: (-edit[1], *((label is None, label) for label in edit[0])))
        return wrong[:num_confusions]


def _added(sums_U4: Floats) -> Edits:
    return Edits(*(int(number) for number in sums_U4.sum(0)))


def label_errors(
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[Sequence[str]],
    *,
    speakers: Sequence[str],
    folding: Folding,
) -> LabelErrors:
    """Errors of recognised utterances; references and hypotheses are folded first."""
    alignments = [
        align(folding.fold(reference), folding.fold(hypothesis))
        for reference, hypothesis, _ in zip(references, hypotheses, speakers, strict=True)
    ]
    edits = [count_edits(pairs) for pairs in alignments]
    if sum(one.num_reference for one in edits) == 0:
        raise BenchError("no reference label to score against: the error rate has no meaning")
    return LabelErrors(
        speakers=tuple(speakers),
        sums=np.array(edits, dtype=np.float64),
        pairs=Counter(pair for pairs in alignments for pair in pairs),
    )


def word_error_rate(pairs: Iterable[tuple[Sequence[str], Sequence[str]]], *, space: str) -> float:
    """Edits of words in percent of the reference words; `space` is the label between words."""
    total = Edits()
    for pair in pairs:
        reference, hypothesis = (" ".join("".join(part).split(space)).split() for part in pair)
        counted = count_edits(align(reference, hypothesis))
        total = Edits(*(sum(both) for both in zip(total, counted, strict=True)))
    return total.rate


def error_rate_signature(
    *, num_labels: int, folding: Folding, decoder: str, unit: str = "phone", num_skipped: int = 0
) -> str:
    """Definition of the rate: labels recognised and scored, alignment, decoder with its options.

    Utterances that were left out of the corpus are counted.
    """
    for part in (folding.name, decoder):
        if "|" in part:
            raise BenchError(f"{part!r} cannot be part of a signature: leave out '|'")
    return (
        f"{unit}-error-rate|labels:{num_labels}|scored:{len(folding.labels)}({folding.name})|"
        f"edits:levenshtein|decoder:{decoder}" + (f"|skipped:{num_skipped}" if num_skipped else "")
    )
