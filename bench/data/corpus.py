"""From a card's corpus to the examples, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from bench.data.sources import Download, Progress, locate
from bench.data.specification import CorpusSpec, SyntheticTextSpec, TextSpec
from bench.data.speech.prepared import SpeechData, prepare_speech
from bench.data.speech.problems import OnBad
from bench.data.speech.progress import Style, shown
from bench.data.speech.specification import SpeechSpec, SyntheticSpeechSpec
from bench.data.synthetic_text import generate
from bench.data.text import TextCorpus, load_text
from bench.errors import BenchError


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
    style: Style = "quiet",
    progress: Progress | None = None,
) -> TextCorpus | SpeechData:
    """Find, check and read the corpus of a task, or generate it.

    `path`: the user's folder, tried instead of $BENCH_DATA and the cache. `twin`: the task that
    the message names when files are missing. `minimum_count`: words seen less often in training
    become the unknown symbol, for texts of the user's own. `on_bad`: what becomes of recordings
    that cannot be used. `style` and `progress` show the making of features and a download. Raises
    BenchError as `locate`, `load_text` and `prepare_speech` do.
    """
    if isinstance(spec, SpeechSpec | SyntheticSpeechSpec):
        if minimum_count is not None or download != "never":
            raise BenchError(f"{task} is speech: --data.minimum-count and .download are for text")
        with shown(f"features of {task}", style) as report:
            return prepare_speech(
                spec, task=task, twin=twin, path=path, on_bad=on_bad, progress=report
            )
    if on_bad != "refuse":
        raise BenchError(f"{task} is text and has no recordings to skip: leave out --data.on-bad")
    if isinstance(spec, SyntheticTextSpec):
        if path is not None:
            raise BenchError(f"{task} is generated and reads no files: leave out --data.path")
        return generate(spec)
    if minimum_count is not None:
        spec = _with_minimum_count(spec, minimum_count, task)
    folder = locate(spec, task=task, twin=twin, path=path, download=download, progress=progress)
    return load_text(spec, folder)


def as_text(corpus: Corpus, *, task: str) -> TextCorpus:
    """The corpus, which has to be text."""
    if not isinstance(corpus, TextCorpus):
        raise BenchError(f"task {task!r} is not text, which this reads: name a text task")
    return corpus


def _with_minimum_count(spec: TextSpec, minimum_count: int, task: str) -> TextSpec:
    if spec.files:
        raise BenchError(
            f"the vocabulary of {task} is part of its protocol: leave out --data.minimum-count"
        )
    vocabulary = msgspec.structs.replace(spec.vocabulary, minimum_count=minimum_count)
    return msgspec.structs.replace(spec, vocabulary=vocabulary)
