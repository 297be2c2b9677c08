"""From a card's corpus to the examples, whatever its kind."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypedDict

import msgspec

from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.data.prepared import prepare_captions
from bench.core.errors import BenchError
from bench.data.problems import OnBad, Style, progress_bar, summary
from bench.data.sources import Download, DownloadProgress, locate
from bench.frames.data.corpus import FrameCorpus
from bench.frames.data.prepared import prepare_frames
from bench.frames.data.specification import MovingDigitsSpec, SyntheticFramesSpec
from bench.speech.data.prepared import SpeechData, prepare_speech
from bench.speech.data.specification import SpeechSpec, SyntheticSpeechSpec
from bench.text.data.corpus import TextCorpus, load_text
from bench.text.data.specification import CorpusSpec, Kind, SyntheticTextSpec, TextSpec, kind_of
from bench.text.data.synthetic import generate
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.data.prepared import prepare_parallel
from bench.translation.data.specification import ParallelSpec, SyntheticTranslationSpec

SETTINGS = {
    "text": ("minimum_count", "download"),
    "speech": ("on_bad",),
    "translation": ("segmentation", "languages", "download", "on_bad"),
    "captions": ("features", "download", "on_bad"),
    "frames": ("download",),
}
"""What each kind of corpus may be asked for, beside a path."""
MADE = {"speech": "features", "translation": "words", "captions": "features"}
THING = {"speech": "utterance", "translation": "pair", "captions": "caption or image"}


class Corpus(Protocol):
    """What every kind of corpus tells a record; its objective knows the rest."""

    @property
    def checksums(self) -> Mapping[str, str]:
        """sha256 of what was read, by name."""
        ...


def load_corpus(
    spec: CorpusSpec,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
    minimum_count: int | None = None,
    download: Download = "never",
    on_bad: OnBad = "refuse",
    segmentation: str | None = None,
    languages: str | None = None,
    features: str | None = None,
    style: Style = "quiet",
    progress: DownloadProgress | None = None,
) -> TextCorpus | SpeechData | ParallelCorpus | CaptionCorpus | FrameCorpus:
    """Find, check and read the corpus of a task, or generate it.

    `path`: the user's folder, tried instead of $BENCH_DATA and the cache. `twin`: the task that
    the message names when files are missing. `minimum_count`: words seen less often in training
    become the unknown symbol, for texts of the user's own. `on_bad`: what becomes of recordings,
    pairs of lines and captions that cannot be used. `segmentation` and `languages`: of
    translation, see `prepare_parallel`. `features`: of captions, see `prepare_captions`. `style`
    and `progress` show what is made of a corpus and a download. Raises BenchError as `locate`,
    `load_text` and the functions that prepare do.
    """
    kind = kind_of(spec)
    asked = {"minimum_count": minimum_count, "segmentation": segmentation, "languages": languages}
    asked |= {"features": features, "download": download, "on_bad": on_bad}
    _check_settings(task, kind, asked)
    if isinstance(spec, TextSpec | SyntheticTextSpec):
        text = _text(spec, minimum_count, task=task, path=path)
        if isinstance(text, TextCorpus):
            return text
        folder = locate(text, task=task, twin=twin, path=path, download=download, progress=progress)
        return load_text(text, folder)
    fetch = _Fetch(download=download, fetching=progress)
    if isinstance(spec, MovingDigitsSpec | SyntheticFramesSpec):
        return prepare_frames(spec, task=task, twin=twin, path=path, **fetch)
    found: SpeechData | ParallelCorpus | CaptionCorpus
    given = _Given(task=task, twin=twin, path=path, on_bad=on_bad)
    with progress_bar(f"{MADE[kind]} of {task}", style) as report:
        if isinstance(spec, SpeechSpec | SyntheticSpeechSpec):
            found = prepare_speech(spec, progress=report, **given)
        elif isinstance(spec, ParallelSpec | SyntheticTranslationSpec):
            chosen = _Chosen(segmentation=segmentation, languages=languages)
            found = prepare_parallel(spec, progress=report, **chosen, **given, **fetch)
        else:
            found = prepare_captions(spec, features=features, progress=report, **given, **fetch)
    if found.skipped and style != "quiet":
        left_out = summary(found.skipped, thing=THING[kind])
        print(f"{task}: left out {left_out}", file=sys.stderr, flush=True)
    return found


class _Given(TypedDict):
    """What every kind is prepared with."""

    task: str
    twin: str | None
    path: Path | None
    on_bad: OnBad


class _Fetch(TypedDict):
    """Whether files are downloaded, and who is told."""

    download: Download
    fetching: DownloadProgress | None


class _Chosen(TypedDict):
    """Of translation."""

    segmentation: str | None
    languages: str | None


def _check_settings(task: str, kind: Kind, asked: Mapping[str, object]) -> None:
    """Refuse settings that mean nothing to this kind of corpus."""
    for name, value in asked.items():
        if name not in SETTINGS[kind] and value not in (None, "never", "refuse"):
            name = name.replace("_", "-")
            raise BenchError(f"{task} is {kind}, which knows no {name}: leave out --data.{name}")


def as_text(corpus: Corpus, *, task: str) -> TextCorpus:
    """The corpus, which has to be text."""
    if not isinstance(corpus, TextCorpus):
        raise BenchError(f"task {task!r} is not text, which this reads: name a text task")
    return corpus


def _text(
    spec: TextSpec | SyntheticTextSpec, minimum_count: int | None, *, task: str, path: Path | None
) -> TextCorpus | TextSpec:
    """The text that is generated, or the card of that which lies in files."""
    if isinstance(spec, SyntheticTextSpec):
        if path is not None:
            raise BenchError(f"{task} is generated and reads no files: leave out --data.path")
        return generate(spec)
    if minimum_count is None:
        return spec
    if spec.files:
        raise BenchError(
            f"the vocabulary of {task} is part of its protocol: leave out --data.minimum-count"
        )
    vocabulary = msgspec.structs.replace(spec.vocabulary, minimum_count=minimum_count)
    return msgspec.structs.replace(spec, vocabulary=vocabulary)
