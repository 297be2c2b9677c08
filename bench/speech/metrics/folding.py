"""Labels that scoring does not tell apart.

K.-F. Lee and H.-W. Hon (IEEE Trans. ASSP 37, 1989) score TIMIT's 61 labels as 39: closures and
pauses become one silence, close vowels one vowel, and the glottal stop q nothing. Both reference
and hypothesis are folded; like neighbours that folding leaves behind stay apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.core.errors import BenchError, nearest


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
