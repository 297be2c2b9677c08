"""From a card to what an objective reads: utterances, labels and normalised features by split.

list_speech -> SpeechCorpus        or synthetic.draw, where nothing is read
     \\-> open_features -> SpeechData, from which bad utterances are refused or left out
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from bench.core.aligned import aligned
from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.problems import OnBad, Progress, Style, default_style, progress_bar, report_skipped
from bench.data.sources import DownloadProgress, cache_folder
from bench.speech.data.corpus import Labels, Problem, SpeechCorpus, Utterance, check_problems
from bench.speech.data.listing import list_speech
from bench.speech.data.specification import SpeechSpec, SyntheticSpeechSpec, candidate_folders
from bench.speech.data.store import Features, Index, open_features
from bench.speech.data.synthetic import draw


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSplit:
    """The usable utterances of a split; utterance i is `frames[first[i] : first[i] + T_i]`,
    of frames [N, D].     `labels`: numbers from 1 [U] of each utterance, 0 is the blank.
    """

    utterances: tuple[Utterance, ...]
    labels: tuple[Labels, ...]
    first: npt.NDArray[np.int64]
    num_frames: npt.NDArray[np.int64]
    frames: Features

    def __len__(self) -> int:
        return len(self.utterances)

    def features(self, number: int) -> Features:
        """One utterance's features [T, D], a view."""
        first = self.first[number]
        return self.frames[first : first + self.num_frames[number]]


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechData:
    """A speech corpus with its features.

    `skipped`: the utterances that were left out by `on_bad: skip`; a number measured without them
    is not the protocol's and must say so. `checksums`: of phones and samples, for the record.
    `mean` and `deviation` [D]: what was taken from the features and what they were divided by.
    """

    corpus: SpeechCorpus
    splits: Mapping[str, FeatureSplit]
    checksums: Mapping[str, str]
    skipped: tuple[Problem, ...]
    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]

    @property
    def num_features(self) -> int:
        """Size of a feature vector."""
        return self.corpus.recipe.num_features


def list_corpus(
    spec: SpeechSpec | SyntheticSpeechSpec,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
) -> SpeechCorpus:
    """The utterances of a card; no sound is read yet. Errors as `list_speech`."""
    if isinstance(spec, SpeechSpec):
        return list_speech(spec, task=task, twin=twin, path=path)
    if path is not None:
        raise BenchError(f"{task} is generated and reads no files: leave out --data.path")
    return draw(spec)


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
    """Find, check and transform a card's corpus; the second time the cache answers.

    Raises BenchError for a corpus that is missing, incomplete or not the card's, and, unless told
    to skip them, for bad utterances, in one line that names and counts them.
    """
    corpus = list_corpus(spec, task=task, twin=twin, path=path)
    if on_bad == "refuse":
        check_problems(corpus.problems, on_bad, task=task)
    cache = cache or cache_folder()
    index, frames_ND = open_features(corpus, cache, num_workers=num_workers, progress=progress)
    problems = (*corpus.problems, *_with_files(index.problems, corpus))
    check_problems(problems, on_bad, task=task)
    if isinstance(spec, SpeechSpec) and not problems:
        _check_samples(spec, index, task)
    splits = _splits(corpus, index, frames_ND)
    for split, part in splits.items():
        if not len(part):
            raise BenchError(f"{task}: no usable utterance is left in the {split} split")
    return SpeechData(
        corpus=corpus,
        splits=splits,
        checksums={"phones": corpus.phones_sha256(), "samples": index.samples_sha256},
        skipped=problems,
        mean=np.array(index.mean),
        deviation=np.array(index.deviation),
    )


def _with_files(problems: list[Problem], corpus: SpeechCorpus) -> list[Problem]:
    audio = {u.id: u.audio for utterances in corpus.splits.values() for u in utterances}
    return [
        msgspec.structs.replace(
            problem, detail=f"{audio[problem.utterance] or problem.utterance}: {problem.detail}"
        )
        for problem in problems
    ]


def _check_samples(spec: SpeechSpec, index: Index, task: str) -> None:
    if spec.samples_sha256 not in (None, index.samples_sha256):
        raise BenchError(
            f"{task}: altered: the recordings' samples have sha256 {index.samples_sha256} where "
            f"the card says {spec.samples_sha256}; put the original files in their place"
        )


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


def load(
    card: Card, data: DataConfig, *, style: Style, progress: DownloadProgress | None
) -> SpeechData:
    """Corpus of a card with its features; see `prepare_speech`."""
    del progress  # nothing is downloaded
    corpus = _prepare(card, data, style=style)
    report_skipped(corpus.skipped, task=card.task, thing="utterance", style=style)
    return corpus


def _prepare(card: Card, data: DataConfig, *, style: Style) -> SpeechData:
    assert isinstance(card.corpus, SpeechSpec | SyntheticSpeechSpec)
    with progress_bar(f"features of {card.task}", style) as report:
        return prepare_speech(
            card.corpus,
            task=card.task,
            twin=card.twin,
            path=Path(data.path) if data.path else None,
            on_bad=data.on_bad,
            progress=report,
        )


def inspect(
    card: Card, data: DataConfig, *, fetch: bool, progress: DownloadProgress | None
) -> None:
    """Print where the corpus is, every bad utterance by name, and the sizes of the splits."""
    del progress  # nothing is downloaded
    spec, task, path = card.corpus, card.task, Path(data.path) if data.path else None
    if isinstance(spec, SpeechSpec):
        places = candidate_folders(spec, path)
        states = [(str(place), "there" if place.is_dir() else "missing") for place in places]
        print(aligned(("folder", "state"), states))
        if fetch:
            raise BenchError(f"{task} is not downloaded: get it from {spec.obtain}")
    else:
        print(f"{task} is generated and needs no file")
    skipping = msgspec.structs.replace(data, on_bad="skip")
    corpus = _prepare(card, skipping, style=default_style())
    for problem in corpus.skipped:
        print(problem)
    check_problems(corpus.skipped, "refuse", task=task)
    splits = ", ".join(
        f"{name} {len(split):,} ({sum(map(len, split.labels)):,} phones)"
        for name, split in corpus.splits.items()
    )
    checked = "generated"
    if isinstance(spec, SpeechSpec):
        checked = "verified" if spec.samples_sha256 else "counted"
    print(f"{task}: {checked}; {len(corpus.corpus.labels)} labels; utterances: {splits}")
