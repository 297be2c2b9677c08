"""Text corpora: files become arrays of symbol numbers over one vocabulary.

A word corpus is its lines split at white space, with the end-of-sentence symbol after each line.
A character corpus has one symbol a character; blanks between words become one `space` symbol and
blanks around a line vanish (Mikolov's character Penn Treebank), with the same end of sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.core.errors import BenchError, nearest
from bench.data.sources import corpus_files
from bench.data.verification import digest_of, mismatch
from bench.text.data.numbering import Numbering
from bench.text.data.reading import Part, line_of
from bench.text.data.specification import SPLITS, TextSpec

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """The symbols, most frequent first (ties: first occurrence), with their training counts."""

    symbols: tuple[str, ...]
    counts: Ids
    index: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index = {symbol: number for number, symbol in enumerate(self.symbols)}
        assert len(index) == len(self.symbols) == len(self.counts)
        object.__setattr__(self, "index", index)

    def __len__(self) -> int:
        return len(self.symbols)


@dataclass(frozen=True, kw_only=True, eq=False)
class TextCorpus:
    """Symbol numbers per split, int64 [N], over one vocabulary.

    `bound_nats`: for generated text, the generator's own mean negative log-probability per symbol
    of a split (natural log): what a perfect model scores. `bound_error_nats`: the standard error of
    that mean as an estimate of the entropy rate. `checksums`: sha256 of each file read
    (of each split's numbers when generated).
    """

    unit: str
    vocabulary: Vocabulary
    splits: Mapping[str, Ids]
    checksums: Mapping[str, str]
    end_of_sentence: str | None = None
    bound_nats: Mapping[str, float] | None = None
    bound_error_nats: Mapping[str, float] | None = None

    @property
    def first_input(self) -> int:
        """The symbol from which a split's first symbol is predicted.

        The end of sentence, or the most frequent symbol where the corpus has no sentences.
        """
        return self.vocabulary.index[self.end_of_sentence] if self.end_of_sentence else 0


def load_text(spec: TextSpec, folder: Path) -> TextCorpus:
    """Read, check and number the corpus that lies in `folder`.

    Raises BenchError for a file that is missing, empty, truncated, altered or not UTF-8, for an
    unknown word in a closed vocabulary, and for counts that are not the card's; file and line are
    named where there is one.
    """
    files = corpus_files(spec, folder)
    parts = _parts(spec, files)
    wrong = {path: mismatch(path, spec.files.get(name)) for name, path in files.items()}
    built_from = spec.vocabulary.splits
    numbering = Numbering(spec)
    order = (*built_from, *(split for split in SPLITS if split not in built_from))
    raw = {split: numbering.read(parts[split]) for split in order}
    # A wrong training file makes the other files' words look unknown, so it is named first.
    _refuse({parts[split].path: wrong[parts[split].path] for split in built_from})
    symbols, counts, number_of = numbering.vocabulary(raw[split] for split in built_from)
    vocabulary = Vocabulary(symbols=symbols, counts=counts)
    splits = {split: number_of[raw[split]] for split in SPLITS}
    for split, ids in splits.items():
        if (ids < 0).any():
            word = numbering.symbols[raw[split][np.argmax(ids < 0)]]
            ids[ids < 0] = _unknown(word, parts[split], spec, vocabulary)
    _refuse(wrong)
    _check_counts(spec, splits, vocabulary, parts)
    return TextCorpus(
        unit=spec.unit,
        vocabulary=vocabulary,
        splits=splits,
        checksums={path.name: digest_of(path, "sha256") for path in files.values()},
        end_of_sentence=spec.end_of_sentence,
    )


def _parts(spec: TextSpec, files: Mapping[str, Path]) -> dict[str, Part]:
    """The bytes of each split: a file of its own, or the card's range of one."""
    if not spec.ranges:
        return {split: Part(path=files[split]) for split in SPLITS}
    return {
        split: Part(path=files[part.file], first_byte=part.first_byte, num_bytes=part.num_bytes)
        for split, part in spec.ranges.items()
    }


def _refuse(wrong: Mapping[Path, str | None]) -> None:
    for reason in wrong.values():
        if reason is not None:
            raise BenchError(f"{reason}; put the original file in its place")


def _unknown(word: str, part: Part, spec: TextSpec, vocabulary: Vocabulary) -> int:
    """The number of the unknown symbol; BenchError where the vocabulary has none to give."""
    number = vocabulary.index.get(spec.unknown) if spec.unknown else None
    if spec.vocabulary.policy == "open" and number is not None:
        return number
    where = f"{part.path}, line {line_of(part, word, unit=spec.unit)}: {word!r}"
    if spec.vocabulary.policy == "closed":
        raise BenchError(
            f"{where} is not in the closed vocabulary of the training text "
            f"({len(vocabulary):,} symbols; {nearest(word, vocabulary.symbols)}); "
            "restore the original file"
        )
    raise BenchError(
        f"{where} is not in the training text, which holds no {spec.unknown!r} to stand for it; "
        "with --data.minimum-count 2 or more, rare training words become "
        f"{spec.unknown!r} and new ones are read as it"
    )


def _check_counts(
    spec: TextSpec, splits: Mapping[str, Ids], vocabulary: Vocabulary, parts: Mapping[str, Part]
) -> None:
    for split, ids in splits.items():
        expected = getattr(spec.counts, split)
        if expected is not None and len(ids) != expected:
            raise BenchError(
                f"{parts[split].path}: {len(ids):,} {spec.unit}s where the card counts "
                f"{expected:,}; put the original file in its place"
            )
    types = spec.counts.types
    if types is not None and len(vocabulary) != types:
        raise BenchError(
            f"{parts['train'].path}: {len(vocabulary):,} different {spec.unit}s where the card "
            f"counts {types:,}; put the original file in its place"
        )
