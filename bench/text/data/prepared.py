"""Text of a card, found, read and checked, or generated."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.corpora import Corpus, load_corpus
from bench.data.identity import file_sha256, unpinned_files
from bench.data.problems import Style
from bench.data.sources import DownloadProgress, corpus_files, locate, own_folder, print_status
from bench.text.data.corpus import TextCorpus, load_text
from bench.text.data.specification import SyntheticTextSpec, TextSpec
from bench.text.data.synthetic import generate


def load(
    card: Card, data: DataConfig, *, style: Style, progress: DownloadProgress | None
) -> TextCorpus:
    """Read the files of a card, or a user's own, or generate the text.

    Raises BenchError for files that are missing and as `load_text` does.
    """
    del style  # text is read at once
    spec, path = card.corpus, own_folder(card.task, data)
    if isinstance(spec, SyntheticTextSpec):
        if path is not None:
            raise BenchError(f"{card.task} is generated and reads no files: leave out --data.path")
        return generate(spec)
    assert isinstance(spec, TextSpec)
    if data.minimum_count is not None:
        spec = _with_minimum_count(spec, data.minimum_count, task=card.task)
    folder = locate(
        spec,
        task=card.task,
        twin=card.twin,
        path=path,
        download=data.download,
        progress=progress,
    )
    return load_text(spec, folder)


def unpinned(card: Card, data: DataConfig) -> Mapping[str, str]:
    """Checksums of a user's own text by split, and of files that the card has no checksum of."""
    spec = card.corpus
    if not isinstance(spec, TextSpec):
        return {}
    if spec.files:
        return unpinned_files(spec, card, data)
    folder = locate(spec, task=card.task, path=own_folder(card.task, data))
    return {split: file_sha256(path) for split, path in corpus_files(spec, folder).items()}


def _with_minimum_count(spec: TextSpec, minimum_count: int, *, task: str) -> TextSpec:
    if spec.files:
        raise BenchError(
            f"the vocabulary of {task} is part of its protocol: leave out --data.minimum-count"
        )
    vocabulary = msgspec.structs.replace(spec.vocabulary, minimum_count=minimum_count)
    return msgspec.structs.replace(spec, vocabulary=vocabulary)


def inspect(
    card: Card, data: DataConfig, *, fetch: bool, progress: DownloadProgress | None
) -> None:
    """Print where the files are, then the sizes of vocabulary and splits."""
    print_status(card, data)
    data = msgspec.structs.replace(data, download="missing" if fetch else "never")
    corpus = as_text(load_corpus(card, data, progress=progress), task=card.task)
    sizes = {split: len(tokens) for split, tokens in corpus.splits.items()}
    counts = ", ".join(f"{split} {size:,}" for split, size in sizes.items())
    generated = isinstance(card.corpus, SyntheticTextSpec)
    checked = "generated" if generated else "counted" if data.path else "verified"
    print(f"{card.task}: {checked}; {len(corpus.vocabulary.symbols):,} types; tokens: {counts}")


def as_text(corpus: Corpus, *, task: str) -> TextCorpus:
    """The corpus, which has to be text."""
    if not isinstance(corpus, TextCorpus):
        raise BenchError(f"task {task!r} is not text, which this reads: name a text task")
    return corpus
