"""Speech corpora: utterances, their speakers and labels, and the source of their sound.

Checksums are of content and do not depend on the format of the files:

    phones    sha256 of the lines `split utterance phone phone ...`, sorted; characters and
              words likewise
    samples   sha256 of the lines `utterance sha256-of-its-samples` (16 bit, little-endian), sorted
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bench.core.structs import Frozen
from bench.speech.data.specification import FeatureRecipe

Samples = npt.NDArray[np.int16]
Labels = npt.NDArray[np.int64]
BLANK = 0
"""Number of the blank of CTC and the transducer; labels count from one."""


class Problem(Frozen, frozen=True, kw_only=True):
    """Reason why an utterance cannot be used; `detail` begins with the file at fault."""

    utterance: str
    split: str | None = None
    """None for a recording that belongs to none."""
    kind: str
    """Fault in a word or two, such as `no audio` or `truncated`."""
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class UnusableError(Exception):
    """Raised for an utterance that cannot be used; see `Problem`."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """Recording of a speaker."""

    id: str
    speaker: str
    labels: tuple[str, ...]
    """Labels of its transcript: phones, characters or words."""
    audio: Path | None = None
    """None for a recording that is generated."""
    times: tuple[tuple[int, int], ...] | None = None
    """First and end sample of each phone, where known."""


class Recordings(Protocol):
    """Source of the sound of a corpus: files or a synthesiser."""

    @property
    def sample_rate_hz(self) -> int: ...

    def samples(self, utterance: Utterance) -> Samples:
        """Samples [N]; raises UnusableError for a recording that cannot be used."""
        ...

    def fingerprint(self, utterance: Utterance) -> str:
        """Text that changes whenever the samples do, found without decoding or generating them."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechCorpus:
    """Utterances by split, and the labels that are predicted."""

    labels: tuple[str, ...]
    """Label number 1 + i is `labels[i]`, 0 is the blank."""
    folding: Mapping[str, str | None]
    """Label -> the one that is scored in its place, None where it is dropped."""
    splits: Mapping[str, tuple[Utterance, ...]]
    recordings: Recordings
    recipe: FeatureRecipe
    unit: str = "phone"
    """Unit of the labels: phone, character or word."""
    space: str | None = None
    """Character that stands for the blank between words; None where words cannot be told."""
    problems: tuple[Problem, ...] = ()
    """Utterances that were found bad while listing."""
    bound_error_percent: Mapping[str, float] | None = None
    """Split -> phone error rate of an ideal listener, for generated speech."""
    bound_nats: Mapping[str, float] | None = None
    """Split -> mean -log P(phone | phones before) of the grammar, for generated speech."""

    @cached_property
    def number(self) -> Mapping[str, int]:
        """Label -> its number."""
        return {label: place for place, label in enumerate(self.labels, start=1)}

    @property
    def num_outputs(self) -> int:
        """Number of labels and the blank."""
        return len(self.labels) + 1

    @property
    def folding_name(self) -> str:
        """Numbers of labels before and after folding, such as 61-39; `none` where all stay."""
        scored = set(self.folding.values()) - {None}
        folded = any(label != target for label, target in self.folding.items())
        return f"{len(self.labels)}-{len(scored)}" if folded else "none"

    def numbers(self, utterance: Utterance) -> Labels:
        """Labels of an utterance as numbers from 1 [U]."""
        return np.array([self.number[phone] for phone in utterance.labels], np.int64)

    def labels_sha256(self) -> str:
        """Checksum of the utterances of all splits and their labels."""
        return labels_sha256(self.splits)


def labels_sha256(splits: Mapping[str, Iterable[Utterance]]) -> str:
    """Checksum of the utterances of some splits and their labels."""
    return digest_of_lines(
        f"{split} {utterance.id} {' '.join(utterance.labels)}"
        for split, utterances in splits.items()
        for utterance in utterances
    )


def digest_of_lines(lines: Iterable[str]) -> str:
    """SHA-256 of sorted lines."""
    return hashlib.sha256("".join(f"{line}\n" for line in sorted(lines)).encode()).hexdigest()


def num_frames_needed(labels_U: Labels) -> int:
    """Fewest frames for CTC: one a label, and a blank between equal neighbours."""
    return len(labels_U) + int((labels_U[1:] == labels_U[:-1]).sum())
