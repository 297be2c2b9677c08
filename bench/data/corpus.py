"""From a card's corpus to the examples, whatever its kind."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.data.sources import Download, Progress, locate
from bench.data.specification import CorpusSpec, SyntheticTextSpec, TextSpec
from bench.data.speech.specification import SpeechSpec, SyntheticSpeechSpec
from bench.data.synthetic_text import generate
from bench.data.text import TextCorpus, load_text
from bench.errors import BenchError


def load_corpus(
    spec: CorpusSpec,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
    minimum_count: int | None = None,
    download: Download = "never",
    progress: Progress | None = None,
) -> TextCorpus:
    """Find, check and read the corpus of a task, or generate it.

    `path`: the user's folder, tried instead of $BENCH_DATA and the cache. `twin`: the task that
    the message names when files are missing. `minimum_count`: words seen less often in training
    become the unknown symbol, for corpora of the user's own. Raises BenchError as `locate` and
    `load_text` do.
    """
    if isinstance(spec, SpeechSpec | SyntheticSpeechSpec):
        raise BenchError(f"{task} is speech and cannot be read as text: choose a text task")
    if isinstance(spec, SyntheticTextSpec):
        if path is not None:
            raise BenchError(f"{task} is generated and reads no files: leave out --data.path")
        return generate(spec)
    if minimum_count is not None:
        spec = _with_minimum_count(spec, minimum_count, task)
    folder = locate(spec, task=task, twin=twin, path=path, download=download, progress=progress)
    return load_text(spec, folder)


def _with_minimum_count(spec: TextSpec, minimum_count: int, task: str) -> TextSpec:
    if spec.files:
        raise BenchError(
            f"the vocabulary of {task} is part of its protocol: leave out --data.minimum-count"
        )
    vocabulary = msgspec.structs.replace(spec.vocabulary, minimum_count=minimum_count)
    return msgspec.structs.replace(spec, vocabulary=vocabulary)
