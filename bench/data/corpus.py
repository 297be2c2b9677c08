"""From a card's corpus to the examples, whatever its kind."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from bench.data.parallel.corpus import ParallelCorpus
from bench.data.parallel.prepared import prepare_parallel
from bench.data.parallel.problems import summary as pairs_in_words
from bench.data.parallel.specification import ParallelSpec, SyntheticTranslationSpec
from bench.data.sources import Download, Progress, locate
from bench.data.specification import CorpusSpec, SyntheticTextSpec, TextSpec
from bench.data.speech.prepared import SpeechData, prepare_speech
from bench.data.speech.problems import OnBad, summary
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
    segmentation: str | None = None,
    languages: str | None = None,
    style: Style = "quiet",
    progress: Progress | None = None,
) -> TextCorpus | SpeechData | ParallelCorpus:
    """Find, check and read the corpus of a task, or generate it.

    `path`: the user's folder, tried instead of $BENCH_DATA and the cache. `twin`: the task that
    the message names when files are missing. `minimum_count`: words seen less often in training
    become the unknown symbol, for texts of the user's own. `on_bad`: what becomes of recordings
    and pairs of lines that cannot be used. `segmentation` and `languages`: of translation, see
    `prepare_parallel`. `style` and `progress` show what is made of a corpus and a download. Raises
    BenchError as `locate`, `load_text`, `prepare_speech` and `prepare_parallel` do.
    """
    if isinstance(spec, ParallelSpec | SyntheticTranslationSpec):
        _leave_out(task, "translation", minimum_count=minimum_count)
        with shown(f"words of {task}", style) as report:
            parallel = prepare_parallel(
                spec,
                task=task,
                twin=twin,
                path=path,
                segmentation=segmentation,
                languages=languages,
                on_bad=on_bad,
                download=download,
                fetching=progress,
                progress=report,
            )
        _tell_left_out(task, pairs_in_words(parallel.skipped), len(parallel.skipped), style)
        return parallel
    kind = "speech" if isinstance(spec, SpeechSpec | SyntheticSpeechSpec) else "text"
    _leave_out(task, kind, segmentation=segmentation, languages=languages)
    if isinstance(spec, SpeechSpec | SyntheticSpeechSpec):
        if minimum_count is not None or download != "never":
            raise BenchError(f"{task} is speech: --data.minimum-count and .download are for text")
        return _speech(spec, task=task, twin=twin, path=path, on_bad=on_bad, style=style)
    if on_bad != "refuse":
        raise BenchError(f"{task} is text and has no recordings to skip: leave out --data.on-bad")
    if isinstance(spec, SyntheticTextSpec):
        if path is not None:
            raise BenchError(f"{task} is generated and reads no files: leave out --data.path")
        return generate(spec)
    spec = _with_minimum_count(spec, minimum_count, task)
    folder = locate(spec, task=task, twin=twin, path=path, download=download, progress=progress)
    return load_text(spec, folder)


def _speech(
    spec: SpeechSpec | SyntheticSpeechSpec,
    *,
    task: str,
    twin: str | None,
    path: Path | None,
    on_bad: OnBad,
    style: Style,
) -> SpeechData:
    with shown(f"features of {task}", style) as report:
        speech = prepare_speech(
            spec, task=task, twin=twin, path=path, on_bad=on_bad, progress=report
        )
    _tell_left_out(task, summary(speech.skipped), len(speech.skipped), style)
    return speech


def _tell_left_out(task: str, what: str, num_skipped: int, style: Style) -> None:
    if num_skipped and style != "quiet":
        print(f"{task}: left out {what}", file=sys.stderr, flush=True)


def _leave_out(task: str, kind: str, **settings: object) -> None:
    """Refuse settings that mean nothing to this kind of corpus."""
    for name, value in settings.items():
        if value is not None:
            name = name.replace("_", "-")
            raise BenchError(f"{task} is {kind}, which knows no {name}: leave out --data.{name}")


def as_text(corpus: Corpus, *, task: str) -> TextCorpus:
    """The corpus, which has to be text."""
    if not isinstance(corpus, TextCorpus):
        raise BenchError(f"task {task!r} is not text, which this reads: name a text task")
    return corpus


def _with_minimum_count(spec: TextSpec, minimum_count: int | None, task: str) -> TextSpec:
    if minimum_count is None:
        return spec
    if spec.files:
        raise BenchError(
            f"the vocabulary of {task} is part of its protocol: leave out --data.minimum-count"
        )
    vocabulary = msgspec.structs.replace(spec.vocabulary, minimum_count=minimum_count)
    return msgspec.structs.replace(spec, vocabulary=vocabulary)
