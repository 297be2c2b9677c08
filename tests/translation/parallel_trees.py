"""Small parallel corpora on disk, in the shapes of the real ones."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from cards import card_of

from bench.core.config import DataConfig
from bench.data.files import FileSpec
from bench.data.lines import Lines
from bench.data.problems import Progress
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.data.prepared import prepare
from bench.translation.data.specification import (
    BpeSegments,
    ParallelSpec,
    SyntheticTranslationSpec,
    TokenisationSpec,
    WordSegments,
)

PAIRS = [
    ("The cat sees a dog.", "Le chat voit un chien."),
    ("A dog's bone!", "L'os d'un chien !"),
    ("The dog sleeps.", "Le chien dort."),
    ("Two cats, one bone.", "Deux chats, un os."),
]
OWN = ParallelSpec(
    licence="own",
    segmentations={
        "words": WordSegments(),
        "bpe": BpeSegments(num_symbols=60),
        "plain": BpeSegments(num_symbols=60, text="plain"),
        "shared": BpeSegments(num_symbols=60, vocabularies="shared"),
    },
)
BITEXTS = ("ep7_pc45", "nc9", "dev08_11", "crawl", "ccb2_pc30", "un2000_pc34")


def write_own(folder: Path, pairs: list[tuple[str, str]] = PAIRS) -> Path:
    """Train, valid and test with the same lines, in English and French."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        for side, language in enumerate(("en", "fr")):
            text = "".join(f"{pair[side]}\n" for pair in pairs)
            (folder / f"{split}.{language}").write_bytes(text.encode())
    return folder


def write_wmt14(folder: Path) -> Path:
    """WMT'14 as its card lays it out: cut words, compressed, to train on, plain news otherwise."""
    (folder / "bitexts.selected").mkdir(parents=True)
    for number, name in enumerate(BITEXTS):
        for language, words in (("en", "the dog &apos;s bone"), ("fr", "l' os d' un chien")):
            content = f"{words} {number} .\n".encode() * (number + 1)
            path = folder / "bitexts.selected" / f"{name}.{language}.gz"
            path.write_bytes(gzip.compress(content, mtime=0))
    for year in (2012, 2013, 2014):
        (folder / f"newstest{year}.eng").write_text(f"The dog's bone in {year}.\n")
        (folder / f"newstest{year}.fra").write_text(f"L'os d'un chien en {year}.\n")
    return folder


def tiny_spec(files: dict[str, FileSpec], **changes: object) -> ParallelSpec:
    """A card of two languages in single files by split."""
    settings = {
        "source_language": "en",
        "target_language": "fr",
        "licence": "none",
        "folder": "tiny",
        "files": files,
        "splits": {
            split: ((f"{split}.en", f"{split}.fr"),) for split in ("train", "valid", "test")
        },
        "tokenisation": TokenisationSpec(case="lower", punctuation="normalised"),
        "segmentations": OWN.segmentations,
    }
    return ParallelSpec(**{**settings, **changes})  # type: ignore[arg-type]


def prepare_parallel(
    spec: ParallelSpec | SyntheticTranslationSpec,
    *,
    task: str,
    cache: Path,
    path: Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> ParallelCorpus:
    """The corpus of a card of that specification, with the settings of `data`."""
    data = DataConfig(path=None if path is None else str(path), **settings)
    return prepare(card_of(spec, task=task), data, cache=cache, progress=progress)


def lines(*texts: str) -> Lines:
    return Lines.of(texts)
