"""The `corpus:` part of a speech card: facts as frozen structs.

Imports neither torch nor numpy: listing tasks reads these and must stay fast.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bench.core.config import Count, NonNegative, Positive
from bench.core.errors import BenchError
from bench.core.splits import SPLITS, check_splits
from bench.core.structs import Frozen
from bench.data.files import check_digests
from bench.data.sources import cache_folder


def _check_once(names: Sequence[str], where: str) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{where}: given more than once: {', '.join(sorted(twice))}")


class FeatureRecipe(Frozen, frozen=True, kw_only=True):
    """Recipe of feature vectors; the equations are in `bench.speech.data.features`."""

    num_mel_bands: Count = 40
    window_ms: Positive = 25.0
    shift_ms: Positive = 10.0
    preemphasis: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.97
    low_hz: NonNegative = 20.0
    high_hz: Positive | None = None
    """Upper edge of the last band; half the sample rate when not given."""
    num_differences: Annotated[int, msgspec.Meta(ge=0, le=2)] = 2
    difference_reach: Count = 2
    normalisation: Literal["training", "none"] = "training"
    """training: zero mean and unit variance in each dimension over the training frames."""

    @property
    def num_coefficients(self) -> int:
        """Number of log-mel bands and the log energy."""
        return self.num_mel_bands + 1

    @property
    def num_features(self) -> int:
        """Size of a feature vector."""
        return self.num_coefficients * (1 + self.num_differences)


class SpeechCounts(Frozen, frozen=True, kw_only=True):
    """Utterances and phones by split; unknown ones are left out."""

    utterances: dict[str, int] = msgspec.field(default_factory=dict)
    phones: dict[str, int] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_splits(self.utterances, "counts.utterances")
        check_splits(self.phones, "counts.phones")


class SpeechSpec(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="speech"):
    """Recordings in files with the phones that are spoken in them.

    Checksums are of samples and phones in any file format: see `bench.speech.data.corpus`.
    """

    layout: Literal["timit", "an4"]
    folder: str
    licence: str
    obtain: str
    """Source of the corpus, for users."""
    labels: tuple[str, ...]
    folding: tuple[dict[str, str | None], ...] = ()
    """Steps from a label to the one that is scored; a label that a step does not name stays as it
    is, null drops it."""
    speakers: dict[str, tuple[str, ...]]
    """Split -> speakers: all of TIMIT's; of AN4 those of the development set, the rest follow its
    own lists."""
    utterances_per_speaker: Count | None = None
    sentences_left_out: tuple[str, ...] = ()
    """First letters of sentence names."""
    sample_rate_hz: Count = 16000
    raw_byte_order: Literal["big", "little"] = "big"
    clipped_share_max: NonNegative = 0.01
    """A recording with more of its samples at the limits of their range is bad."""
    counts: SpeechCounts = SpeechCounts()
    phones_sha256: str | None = None
    samples_sha256: str | None = None
    features: FeatureRecipe = FeatureRecipe()

    def __post_init__(self) -> None:
        check_splits(self.speakers, "speakers")
        named = [name for names in self.speakers.values() for name in names]
        _check_once(named, "speakers")
        _check_once(self.labels, "labels")
        known = set(self.labels)
        for step in self.folding:
            for label in step:
                if label not in known:
                    raise ValueError(f"folding: {label!r} is no label at this step")
            known = {step.get(label, label) or "" for label in known} - {""}
        for digits in (self.phones_sha256, self.samples_sha256):
            check_digests({"sha256": digits})

    def folded(self, label: str) -> str | None:
        """The label that is scored in place of `label`; None where it is dropped."""
        found: str | None = label
        for step in self.folding:
            found = None if found is None else step.get(found, found)
        return found


Units = Literal["characters", "words", "phones"]


class OwnSpeechSpec(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="own-speech"):
    """Recordings of the user with transcripts: see `bench.speech.data.transcripts`.

    Splits that the folder does not have are held out of its training utterances: see
    `bench.speech.data.own.hold_out`.
    """

    licence: str = "your own"
    folder: None = None
    """Recordings are in the folder that the user names."""
    units: Units = "characters"
    """Labels unless a run chooses others."""
    space: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = "_"
    """Character that stands for the blank between words."""
    held_out_share: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.1
    """Share of the utterances in a split that is held out."""
    seed: int = 1
    """Seed of the order in which names are held out."""
    num_speakers_min: Annotated[int, msgspec.Meta(ge=3)] = 10
    """Number of named speakers from which on whole speakers are held out."""
    clipped_share_max: NonNegative = 0.01
    features: FeatureRecipe = FeatureRecipe()

    def __post_init__(self) -> None:
        if self.space.isspace():
            raise ValueError("space: blanks separate labels, choose another character")


class SyntheticSpeechSpec(
    Frozen, frozen=True, kw_only=True, tag_field="kind", tag="synthetic-speech"
):
    """Speech from a known grammar and formants: see `bench.speech.data.synthetic`."""

    seed: int = 1
    num_speakers: dict[str, Count]
    utterances_per_speaker: Count
    num_phones_min: Count
    num_phones_max: Count
    rarer_share: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.25
    """Probability of the rarer of two labels that sound alike."""
    noise_db_min: float = 15.0
    noise_db_max: float = 30.0
    """Upper limit of the signal-to-noise ratio, which is uniform over utterances."""
    sample_rate_hz: Count = 16000
    features: FeatureRecipe = FeatureRecipe()
    licence: str = "generated: no licence is needed"

    def __post_init__(self) -> None:
        if set(self.num_speakers) != set(SPLITS):
            raise ValueError(f"num_speakers must name {', '.join(SPLITS)}")
        if self.num_phones_min > self.num_phones_max or self.noise_db_min > self.noise_db_max:
            raise ValueError("a minimum is above its maximum")


def candidate_folders(spec: SpeechSpec, path: Path | None = None) -> list[Path]:
    """Folders in which the corpus is looked for, in order."""
    if path is not None:
        return [path]
    data = os.environ.get("BENCH_DATA")
    return [*([Path(data) / spec.folder] if data else []), cache_folder() / spec.folder]


def find_folder(
    spec: SpeechSpec, *, task: str, twin: str | None = None, path: Path | None = None
) -> Path:
    """First of the candidate folders that exists; its contents are not looked at.

    Raises BenchError with the source of the corpus, the folders, and the `twin` task that needs no
    file.
    """
    folders = candidate_folders(spec, path)
    for folder in folders:
        if folder.is_dir():
            return folder
    places = " or ".join(str(folder) for folder in folders)
    hints = [f"get it from {spec.obtain} and put it in {places}"]
    if "BENCH_DATA" not in os.environ:
        hints.append(f"set BENCH_DATA to the folder that holds {spec.folder}/")
    if twin is not None:
        hints.append(f"run `--task {twin}`, its twin that needs no file")
    raise BenchError(f"{task}: the corpus is missing: " + "; or ".join(hints))
