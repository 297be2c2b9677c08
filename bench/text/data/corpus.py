"""Text corpora: files become arrays of symbol numbers over one vocabulary.

A word corpus is its lines split at white space, with the end-of-sentence symbol after each line.
A character corpus has one symbol a character; blanks between words become one `space` symbol and
blanks around a line vanish (Mikolov's character Penn Treebank), with the same end of sentence.
"""

from __future__ import annotations

import codecs
import gzip
import itertools
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from bench.core.errors import BenchError, nearest
from bench.core.splits import SPLITS
from bench.data.decoding import Strictness, encoding_fault, is_clean, line_fault, open_text, remedy
from bench.data.files import mismatch
from bench.data.identity import file_sha256
from bench.data.rows import Vocabulary
from bench.data.sources import corpus_files
from bench.text.data.specification import TextSpec

# Text off the disk in blocks, so that a corpus of any size needs little memory at a time.


BLOCK_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of a file that make up one split; `num_bytes` None means up to the end."""

    path: Path
    first_byte: int = 0
    num_bytes: int | None = None
    strictness: Strictness = "text"


def read_blocks(part: Part, *, unit: str) -> Iterator[str]:
    """The decoded text of a part, cut only after a newline; words also after a blank.

    A text of words without any newline is cut at blanks; characters keep their lines whole,
    because the blanks at a line's ends are not part of it.

    Raises BenchError that names the line of the first fault; see `bench.data.decoding`.
    """
    num_lines = 0
    for place, block in enumerate(_cut(part, unit)):
        if place == 0 and not part.first_byte:
            if (fault := encoding_fault(block)) is not None:
                raise BenchError(f"{part.path}: {fault}")
            block = block.removeprefix(codecs.BOM_UTF8)
        if not is_clean(block, part.strictness):
            raise _faulty(part, block, _first_line(part) + num_lines)
        num_lines += block.count(b"\n")
        yield block.decode("utf-8")


def _first_line(part: Part) -> int:
    """Number of the line that a part begins with."""
    if not part.first_byte:
        return 1
    with open_text(part.path) as stream:
        return 1 + stream.read(part.first_byte).count(b"\n")


def _faulty(part: Part, block: bytes, first: int) -> BenchError:
    """Error that names the first line of a block with a fault."""
    for number, line in enumerate(block.split(b"\n"), start=first):
        if (fault := line_fault(line.removesuffix(b"\r"), part.strictness)) is not None:
            return BenchError(f"{part.path}, line {number:,}: {fault}; {remedy(fault)}")
    raise AssertionError(f"{part.path}: no line of the block has a fault")


def line_of(part: Part, symbol: str, *, unit: str) -> int:
    """The number, from 1, of the first line of a part's file that holds `symbol`."""
    line = _first_line(part)
    for text in read_blocks(part, unit=unit):
        for words in text.split("\n"):
            if symbol in (words.split() if unit == "word" else words):
                return line
            line += 1
        line -= 1  # a block ends with its last line's newline, or goes on in the next block
    raise AssertionError(f"{symbol!r} is not in {part.path}")


def _cut(part: Part, unit: str) -> Iterator[bytes]:
    left = sys.maxsize if part.num_bytes is None else part.num_bytes
    rest = b""
    with open_text(part.path) as stream:
        stream.seek(part.first_byte)
        while chunk := _read(stream, min(BLOCK_BYTES, left), part.path):
            left -= len(chunk)
            rest += chunk
            end = rest.rfind(b"\n") + 1
            if unit == "word" and not end:
                end = rest.rfind(b" ") + 1
            if end:
                yield rest[:end]
                rest = rest[end:]
    if rest:
        yield rest


def _read(stream: IO[bytes], size: int, path: Path) -> bytes:
    try:
        return stream.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BenchError(f"{path}: it cannot be decompressed ({error})") from None


# From text to numbers in the order of first occurrence, then to a vocabulary by frequency.


Raw = npt.NDArray[np.int32]
Ids = npt.NDArray[np.int64]


class Numbering:
    """Numbers the symbols of any number of texts by first occurrence, all in one numbering."""

    def __init__(self, spec: TextSpec) -> None:
        self.spec = spec
        self._number: defaultdict[str, int] = defaultdict(itertools.count().__next__)

    @property
    def symbols(self) -> list[str]:
        """The symbols met so far; a symbol's place is its number."""
        return list(self._number)

    def read(self, part: Part) -> Raw:
        """The symbols of one split as numbers [N].

        Raises BenchError for text without a word, and for text that already holds the symbol that
        the card puts in (the end of sentence; a character corpus's space).
        """
        number = self._words if self.spec.unit == "word" else self._characters
        return np.concatenate([number(text) for text in self._lines(part)])

    def _lines(self, part: Part) -> Iterator[str]:
        is_word = self.spec.unit == "word"
        put_in = (self.spec.end_of_sentence, None if is_word else self.spec.space)
        marks = [mark for mark in (*put_in, *(self.spec.reserved if is_word else ())) if mark]
        blank, ended = True, True
        for text in read_blocks(part, unit=self.spec.unit):
            for mark in marks:
                if mark in text and (not is_word or mark in text.split()):
                    raise _reserved(part, mark, self.spec)
            blank = blank and not text.strip()
            ended = text.endswith("\n")
            yield text
        if blank:
            raise BenchError(f"{part.path} holds no words: put the corpus's own file in its place")
        if self.spec.end_of_sentence is not None and not ended:
            yield "\n"

    def _words(self, text: str) -> Raw:
        if self.spec.end_of_sentence is not None:
            text = text.replace("\n", f" {self.spec.end_of_sentence} ")
        words = text.split()
        return np.fromiter(map(self._number.__getitem__, words), np.int32, len(words))

    def _characters(self, text: str) -> Raw:
        text = "\n".join(self.spec.space.join(line.split()) for line in text.split("\n"))
        number_of_code_point = np.zeros(sys.maxunicode + 1, np.int32)
        for character in dict.fromkeys(text):  # in the order of first occurrence
            symbol = self.spec.end_of_sentence if character == "\n" else character
            number_of_code_point[ord(character)] = self._number[str(symbol)]
        return number_of_code_point[np.frombuffer(text.encode("utf-32-le"), np.uint32)]

    def vocabulary(self, texts: Iterable[Raw]) -> tuple[tuple[str, ...], Ids, Ids]:
        """The symbols by descending frequency in `texts`, their counts, and the way there.

        The third is int64 [all symbols met]: the vocabulary's number of each, -1 for one that is
        not in it. Rare symbols are counted as the unknown symbol.
        """
        symbols = self.symbols
        counts = np.zeros(len(symbols), np.int64)
        for raw in texts:
            counts += np.bincount(raw, minlength=len(symbols))
        rare = counts < self.spec.vocabulary.minimum_count
        for special in (self.spec.end_of_sentence, self.spec.unknown):
            if special is not None and special in self._number:
                rare[self._number[special]] = False
        num_rare = int(counts[rare].sum())
        if num_rare and self.spec.unknown is not None:
            if self.spec.unknown not in self._number:
                symbols.append(self.spec.unknown)
                counts, rare = np.append(counts, 0), np.append(rare, False)
            counts[symbols.index(self.spec.unknown)] += num_rare
        kept = np.flatnonzero(~rare & (counts > 0))
        kept = kept[np.argsort(-counts[kept], kind="stable")]
        number_of = np.full(len(symbols), -1, np.int64)
        number_of[kept] = np.arange(len(kept))
        return tuple(symbols[i] for i in kept), counts[kept], number_of


def _reserved(part: Part, mark: str, spec: TextSpec) -> BenchError:
    line = line_of(part, mark, unit=spec.unit if len(mark) > 1 else "char")
    meaning = {spec.end_of_sentence: "each end of line", spec.space: "each blank"}.get(mark)
    meaning = meaning or "the beginning or end of a sentence, and is put in"
    return BenchError(
        f"{part.path}, line {line}: the text holds {mark!r}, which stands for {meaning}; "
        "remove it from the text or choose another symbol"
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class TextCorpus:
    """Symbol numbers per split, int64 [N], over one vocabulary.

    `bound_nats`: for generated text, the generator's own mean negative log-probability per symbol
    of a split (natural log): what a perfect model scores. `bound_error_nats`: the standard error of
    that mean as an estimate of the entropy rate. `checksums`: sha256 of each file read
    (of each split's numbers when generated). `distinctions`: facts that a user's own text adds to
    signatures.
    """

    unit: str
    vocabulary: Vocabulary
    splits: Mapping[str, Ids]
    checksums: Mapping[str, str]
    end_of_sentence: str | None = None
    bound_nats: Mapping[str, float] | None = None
    bound_error_nats: Mapping[str, float] | None = None
    distinctions: Mapping[str, str] = field(default_factory=dict)

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
        checksums={path.name.removesuffix(".gz"): file_sha256(path) for path in files.values()},
        end_of_sentence=spec.end_of_sentence,
        distinctions={} if spec.files else {"types": str(len(vocabulary))},
    )


def _parts(spec: TextSpec, files: Mapping[str, Path]) -> dict[str, Part]:
    """The bytes of each split: a file of its own, or the card's range of one."""
    pinned: Strictness = "decodable" if spec.files else "text"
    if not spec.ranges:
        return {split: Part(path=files[split], strictness=pinned) for split in SPLITS}
    return {
        split: Part(
            path=files[part.file],
            first_byte=part.first_byte,
            num_bytes=part.num_bytes,
            strictness=pinned,
        )
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
