"""A speech corpus: which utterances, by whom, which phones are spoken, and where the sound is.

Checksums are of content, so that the same corpus in another file format has the same ones:

    phones    sha256 of the lines `split utterance phone phone ...`, sorted
    samples   sha256 of the lines `utterance sha256-of-its-samples` (16 bit, little-endian), sorted
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from bench.core.structs import Frozen
from bench.data import problems as corpus_problems
from bench.data.problems import OnBad
from bench.speech.data.specification import FeatureRecipe

# What can be wrong with an utterance, and what is done about it: refuse, or skip when told to.


Kind = Literal[
    "no audio",
    "no transcript",
    "bad transcript",
    "unknown word",
    "unknown phone",
    "unreadable",
    "empty",
    "silent",
    "truncated",
    "clipped",
    "compressed",
    "encoding",
    "byte order",
    "wrong rate",
    "not mono",
    "too short",
]


class Problem(Frozen, frozen=True, kw_only=True):
    """One utterance that cannot be used; `detail` begins with the file at fault."""

    utterance: str
    split: str | None = None
    """None for a recording that belongs to none."""
    kind: Kind
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class UnusableError(Exception):
    """Why an utterance cannot be used."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind: Kind = kind
        self.detail = detail


def summary(problems: Sequence[Problem]) -> str:
    """How many of which kind, and the first few by name, in one line."""
    return corpus_problems.summary(problems, thing="utterance")


def check_problems(problems: Sequence[Problem], on_bad: OnBad, *, task: str) -> None:
    """Refuse the corpus for its bad utterances, in one line; with `skip` they are left out."""
    corpus_problems.check_problems(problems, on_bad, task=task, thing="utterance")


Samples = npt.NDArray[np.int16]
Labels = npt.NDArray[np.int64]
BLANK = 0
"""Number of CTC's and the transducer's blank; the labels count from one."""


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One recording of one speaker; `times` are the phones' first and end samples where known.

    `audio` is None when the recording is generated.
    """

    id: str
    speaker: str
    phones: tuple[str, ...]
    audio: Path | None = None
    times: tuple[tuple[int, int], ...] | None = None


class Recordings(Protocol):
    """Where the sound of a corpus comes from: files or a synthesiser."""

    @property
    def sample_rate_hz(self) -> int:
        """Samples a second."""
        ...

    def samples(self, utterance: Utterance) -> Samples:
        """The samples [N]; raises UnusableError for a recording that cannot be used."""
        ...

    def fingerprint(self, utterance: Utterance) -> str:
        """Changes whenever the samples do, without decoding or generating them."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechCorpus:
    """Utterances by split and what is to be predicted about them.

    `labels`: what models are trained on; label number 1 + i is `labels[i]`, 0 is the blank.
    `folding`: label -> what is scored in its place, None where it is dropped. `problems`:
    utterances that were found bad while listing. `bound_error_percent`: for generated speech, the
    phone error rate of an ideal listener on a split; `bound_nats`: the grammar's own mean
    -log P(phone | phones before).
    """

    labels: tuple[str, ...]
    folding: Mapping[str, str | None]
    splits: Mapping[str, tuple[Utterance, ...]]
    recordings: Recordings
    recipe: FeatureRecipe
    problems: tuple[Problem, ...] = ()
    bound_error_percent: Mapping[str, float] | None = None
    bound_nats: Mapping[str, float] | None = None
    number: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        number = {label: place for place, label in enumerate(self.labels, start=1)}
        object.__setattr__(self, "number", number)

    @property
    def num_outputs(self) -> int:
        """Labels and the blank."""
        return len(self.labels) + 1

    @property
    def folding_name(self) -> str:
        """How many labels become how many, such as 61-39; none where nothing is folded."""
        scored = set(self.folding.values()) - {None}
        folded = any(label != target for label, target in self.folding.items())
        return f"{len(self.labels)}-{len(scored)}" if folded else "none"

    def numbers(self, utterance: Utterance) -> Labels:
        """The utterance's labels as numbers from 1 [U]."""
        return np.array([self.number[phone] for phone in utterance.phones], np.int64)

    def phones_sha256(self) -> str:
        """Checksum of who is in which split and says what."""
        return digest_of_lines(
            f"{split} {utterance.id} {' '.join(utterance.phones)}"
            for split, utterances in self.splits.items()
            for utterance in utterances
        )


def digest_of_lines(lines: Iterable[str]) -> str:
    """sha256 of sorted lines."""
    return hashlib.sha256("".join(f"{line}\n" for line in sorted(lines)).encode()).hexdigest()


def num_frames_needed(labels_U: Labels) -> int:
    """Frames that CTC needs at least: one a label, and a blank between equal neighbours."""
    return len(labels_U) + int((labels_U[1:] == labels_U[:-1]).sum())
