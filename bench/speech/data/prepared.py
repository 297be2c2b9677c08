"""Utterances, labels and normalised features of a card, by split.

list_speech -> SpeechCorpus        or list_own, or synthetic.draw, where nothing is read
     \\-> open_features -> SpeechData, from which bad utterances are refused or left out
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.identity import RECORDINGS
from bench.data.problems import (
    OnBad,
    Progress,
    Style,
    check_problems,
    progress_bar,
    report_skipped,
    summary,
)
from bench.data.sources import DownloadProgress, cache_folder, own_folder
from bench.speech.data.corpus import Labels, Problem, SpeechCorpus, Utterance
from bench.speech.data.listing import list_speech
from bench.speech.data.own import list_own, own_digests
from bench.speech.data.specification import (
    OwnSpeechSpec,
    SpeechSpec,
    SyntheticSpeechSpec,
    candidate_folders,
)
from bench.speech.data.store import Features, Index, open_features, recordings_sha256
from bench.speech.data.synthetic import draw

THING = "utterance"


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSplit:
    """Usable utterances of a split."""

    utterances: tuple[Utterance, ...]
    labels: tuple[Labels, ...]
    """Numbers from 1 of each utterance [U]."""
    first: npt.NDArray[np.int64]
    """Place of each utterance's first frame in `frames`."""
    num_frames: npt.NDArray[np.int64]
    frames: Features
    """[N, D]"""

    def __len__(self) -> int:
        return len(self.utterances)

    def features(self, number: int) -> Features:
        """View of the features of an utterance [T, D]."""
        first = self.first[number]
        return self.frames[first : first + self.num_frames[number]]


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechData:
    """Speech corpus with its features."""

    corpus: SpeechCorpus
    splits: Mapping[str, FeatureSplit]
    checksums: Mapping[str, str]
    """Checksums of labels and samples, for the record."""
    skipped: tuple[Problem, ...]
    """Utterances that `on_bad: skip` left out; signatures count them."""

    @property
    def num_features(self) -> int:
        """Size of a feature vector."""
        return self.corpus.recipe.num_features


def prepare_speech(
    spec: SpeechSpec | SyntheticSpeechSpec,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
    on_bad: OnBad = "refuse",
    cache: Path | None = None,
    num_workers: int = 0,
    progress: Progress | None = None,
) -> SpeechData:
    """Corpus of a card with its features, from the cache where they have been made before.

    Raises BenchError for a corpus that is missing, incomplete or not the card's, and, unless
    `on_bad` is `skip`, for bad utterances, in one line that names and counts them.
    """
    if isinstance(spec, SpeechSpec):
        corpus = list_speech(spec, task=task, twin=twin, path=path)
    elif path is not None:
        raise BenchError(f"{task} is generated and reads no files: leave out --data.path")
    else:
        corpus = draw(spec)
    data = make_features(
        corpus, task=task, on_bad=on_bad, cache=cache, num_workers=num_workers, progress=progress
    )
    expected = spec.samples_sha256 if isinstance(spec, SpeechSpec) else None
    if not data.skipped and expected not in (None, data.checksums["samples"]):
        raise BenchError(
            f"{task}: altered: the recordings' samples have sha256 {data.checksums['samples']} "
            f"where the card says {expected}; put the original files in their place"
        )
    return data


def make_features(
    corpus: SpeechCorpus,
    *,
    task: str,
    on_bad: OnBad = "refuse",
    cache: Path | None = None,
    num_workers: int = 0,
    progress: Progress | None = None,
) -> SpeechData:
    """Listed corpus with its features, from the cache where they have been made before.

    Raises BenchError, unless `on_bad` is `skip`, for bad utterances, in one line that names and
    counts them, and for a split without usable ones.
    """
    check_problems(corpus.problems, on_bad, task=task, thing=THING)
    cache = cache or cache_folder()
    index, frames_ND = open_features(corpus, cache, num_workers=num_workers, progress=progress)
    problems = (*corpus.problems, *_with_files(index.problems, corpus))
    check_problems(problems, on_bad, task=task, thing=THING)
    splits = _splits(corpus, index, frames_ND)
    for split, part in splits.items():
        if not len(part):
            reasons = f": {summary(problems, thing=THING)}" if problems else ""
            raise BenchError(f"{task}: no usable utterance is left in the {split} split{reasons}")
    labels = f"{corpus.unit}s"
    return SpeechData(
        corpus=corpus,
        splits=splits,
        checksums={labels: corpus.labels_sha256(), "samples": index.samples_sha256},
        skipped=problems,
    )


def _with_files(problems: list[Problem], corpus: SpeechCorpus) -> list[Problem]:
    audio = {u.id: u.audio for utterances in corpus.splits.values() for u in utterances}
    return [
        msgspec.structs.replace(
            problem, detail=f"{audio[problem.utterance] or problem.utterance}: {problem.detail}"
        )
        for problem in problems
    ]


def _splits(corpus: SpeechCorpus, index: Index, frames_ND: Features) -> dict[str, FeatureSplit]:
    num_frames = np.array(index.num_frames, np.int64)
    first = np.cumsum(num_frames) - num_frames
    splits, begin = {}, 0
    for split, utterances in corpus.splits.items():
        places = np.arange(begin, begin + len(utterances))
        kept = places[num_frames[places] > 0]
        usable = tuple(utterances[place - begin] for place in kept)
        splits[split] = FeatureSplit(
            utterances=usable,
            labels=tuple(corpus.numbers(utterance) for utterance in usable),
            first=first[kept],
            num_frames=num_frames[kept],
            frames=frames_ND,
        )
        begin += len(utterances)
    return splits


def unpinned(card: Card, data: DataConfig) -> Mapping[str, str]:
    """Checksums of phones and recordings that the card does not pin; empty where none are there."""
    spec = card.corpus
    if isinstance(spec, OwnSpeechSpec):
        return own_digests(spec, data, task=card.task)
    if not isinstance(spec, SpeechSpec) or (spec.samples_sha256 and spec.phones_sha256):
        return {}
    path = own_folder(card.task, data)
    if not any(place.is_dir() for place in candidate_folders(spec, path)):
        return {}
    corpus = list_speech(spec, task=card.task, twin=card.twin, path=path)
    return {
        f"{RECORDINGS}phones": corpus.labels_sha256(),
        f"{RECORDINGS}audio": recordings_sha256(corpus),
    }


def load(
    card: Card, data: DataConfig, *, style: Style, progress: DownloadProgress | None
) -> SpeechData:
    """Corpus of a card with its features; see `prepare_speech`."""
    del progress  # nothing is downloaded
    corpus = prepare(card, data, style=style)
    report_skipped(corpus.skipped, task=card.task, thing=THING, style=style)
    return corpus


def prepare(card: Card, data: DataConfig, *, style: Style) -> SpeechData:
    """Corpus of any speech card with its features; `style` shows their progress."""
    if isinstance(card.corpus, OwnSpeechSpec):
        corpus = list_own(card.corpus, data, task=card.task).corpus
        with progress_bar(f"features of {card.task}", style) as report:
            return make_features(corpus, task=card.task, on_bad=data.on_bad, progress=report)
    assert isinstance(card.corpus, SpeechSpec | SyntheticSpeechSpec)
    for name in ("units", "resample", "channels"):
        if getattr(data, name) != getattr(DataConfig(), name):
            raise BenchError(
                f"{card.task} is not of your own recordings (task `speech`): leave out "
                f"--data.{name}"
            )
    with progress_bar(f"features of {card.task}", style) as report:
        return prepare_speech(
            card.corpus,
            task=card.task,
            twin=card.twin,
            path=own_folder(card.task, data),
            on_bad=data.on_bad,
            progress=report,
        )
