"""Byte-pair encoding of both sides together, by sentencepiece; learned here, never fetched.

Sennrich, Haddow and Birch (2016). One set of merges is learned on the training text of both
languages, by one thread and without sampling, so that the same text gives the same bytes. A side's
own vocabulary holds the pieces of its training text; other pieces of the model are spelled out.

Models and cut words are cached:

    <cache>/parallel/<key>      sha256 of the content in hexadecimal, a line feed, the content

The key is the checksum of the recipe, text included. A file without its checksum is made anew; of
several processes one makes it and the others wait.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from filelock import FileLock

from bench.core.errors import BenchError
from bench.core.record import write_atomically
from bench.data.lines import Lines
from bench.data.rows import Rows
from bench.data.tokens import NUM_SPECIAL, SPECIAL, UNKNOWN
from bench.translation.data.segmentation import Segmenter, Tokeniser
from bench.translation.data.specification import BpeSegments

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor


FORMAT = 1
"""Version of the cache, raised whenever a recipe would give another content."""


def cached(cache: Path, recipe: Mapping[str, object], make: Callable[[], bytes]) -> bytes:
    """Result of `make`, from the cache where it was made before.

    `recipe` is all that it depends on. Raises BenchError when the cache cannot be written.
    """
    whole = msgspec.json.encode({"format": FORMAT, **recipe}, order="deterministic")
    path = cache / "parallel" / hashlib.sha256(whole).hexdigest()[:24]
    if (found := _read(path)) is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if (found := _read(path)) is None:
                found = make()
                write_atomically(path, hashlib.sha256(found).hexdigest().encode() + b"\n" + found)
    except OSError as error:
        raise BenchError(f"cannot write to {path.parent}: {error}; set BENCH_CACHE") from error
    return found


def _read(path: Path) -> bytes | None:
    try:
        mark, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest().encode() == mark else None


BLANK = "▁"
"""sentencepiece's sign for the blank before a word; in the text it is read as a blank."""
BLOCK_LINES = 1 << 12
LONGEST_BYTES = 1 << 20
"""sentencepiece drops longer lines silently; a card's `longest_words` has refused them before."""


class Subwords(Segmenter):
    """Pieces of words, or of plain text with `text: plain`, as symbols."""

    def __init__(
        self,
        tokeniser: Tokeniser,
        symbols: Sequence[str],
        processor: SentencePieceProcessor,
        text: str,
    ) -> None:
        super().__init__(tokeniser, symbols)
        self.processor, self.text = processor, text
        self._spelled = {
            number: self._own(processor.id_to_piece(number))
            for number in range(processor.get_piece_size())
        }

    def pieces(self, text: str) -> list[str]:
        read = self._read(text)
        written: list[str] = self.processor.encode(read, out_type=str)
        numbers: list[int] = self.processor.encode(read, out_type=int)
        found = []
        for piece, number in zip(written, numbers, strict=True):
            found += [piece] if number == UNKNOWN else self._pieces_of(piece)
        return found

    def encode(self, text: str) -> list[int]:
        return self._own_ids(self.processor.encode(self._read(text), out_type=int))

    def encode_lines(self, plain: Sequence[str], words: Sequence[str]) -> Rows:
        if self.text == "words":
            return Rows.of(self._own_ids(row) for row in _cut(self.processor, words))
        flat = Lines.of(map(flattened, plain))
        return Rows.of(self._own_ids(row) for row in _cut(self.processor, flat))

    def decode_pieces(self, pieces: Sequence[str]) -> str:
        text = _put_together(pieces)
        return self.tokeniser.plain(text.split(" ")) if self.text == "words" else text

    def tokenise_pieces(self, pieces: Sequence[str]) -> str:
        text = _put_together(pieces)
        return text if self.text == "words" else " ".join(self.tokens(text))

    def _read(self, text: str) -> str:
        return " ".join(self.tokens(text)) if self.text == "words" else flattened(text)

    def _own_ids(self, numbers: Sequence[int]) -> list[int]:
        return [own for number in numbers for own in self._spelled[number]]

    def _pieces_of(self, whole: str) -> list[str]:
        """Segmenter of this side for a piece of the common model."""
        return [whole] if whole in self.index else list(whole)

    def _own(self, whole: str) -> list[int]:
        if whole in SPECIAL:
            return [UNKNOWN]
        return [self.index.get(piece, UNKNOWN) for piece in self._pieces_of(whole)]


def learn_subwords(
    spec: BpeSegments,
    tokenisers: tuple[Tokeniser, Tokeniser],
    sides: tuple[Lines, Lines],
    *,
    cache: Path,
) -> tuple[Subwords, Subwords]:
    """Learn the segmenters of source and target on their training lines.

    `sides` are words between blanks or plain text, as `spec.text` says. Raises BenchError for a
    text with more different characters than `num_symbols` has room for.
    """
    from sentencepiece import SentencePieceProcessor  # slow to import

    recipe = {
        "what": "bpe",
        "num_symbols": spec.num_symbols,
        "sentencepiece": version("sentencepiece"),
        "lines": [side.sha256() for side in sides],
    }
    proto = cached(cache, recipe, lambda: _train(spec, sides))
    processor = SentencePieceProcessor(model_proto=proto)
    source, target = _vocabularies(spec, processor, sides)
    return (
        Subwords(tokenisers[0], source, processor, spec.text),
        Subwords(tokenisers[1], target, processor, spec.text),
    )


def _train(spec: BpeSegments, sides: tuple[Lines, Lines]) -> bytes:
    num_characters = len({character for side in sides for line in side for character in line})
    if num_characters + NUM_SPECIAL + 1 > spec.num_symbols:
        raise BenchError(
            f"the training text has {num_characters:,} different characters, too many for "
            f"{spec.num_symbols:,} symbols: raise num_symbols in the card's segmentation"
        )
    from sentencepiece import SentencePieceTrainer

    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=(line for side in sides for line in side),
        model_writer=written,
        model_type="bpe",
        vocab_size=spec.num_symbols,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        max_sentence_length=LONGEST_BYTES,
        num_threads=1,
        shuffle_input_sentence=False,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        minloglevel=2,
    )
    return written.getvalue()


def _vocabularies(
    spec: BpeSegments, processor: SentencePieceProcessor, sides: tuple[Lines, Lines]
) -> tuple[list[str], list[str]]:
    """Segmenter of each side, or all for both, by falling frequency."""
    size = processor.get_piece_size()
    pieces: list[str] = [processor.id_to_piece(number) for number in range(size)]
    counts, used = [], []
    for side in sides:
        counts_V, characters = np.zeros(size, np.int64), {BLANK}
        for row in _cut(processor, side):
            np.add.at(counts_V, row, 1)
        for line in side:
            characters.update(line)
        counts.append(counts_V)
        spelled_V = np.array([piece in characters for piece in pieces])
        used.append((counts_V > 0) | spelled_V)
    if spec.vocabularies == "shared":
        counts, used = [sum(counts, np.zeros(size, np.int64))] * 2, [np.ones(size, bool)] * 2
    found = []
    for counts_V, used_V in zip(counts, used, strict=True):
        order_V = np.argsort(-counts_V[NUM_SPECIAL:], kind="stable") + NUM_SPECIAL
        found.append([*SPECIAL, *(pieces[number] for number in order_V if used_V[number])])
    return found[0], found[1]


def flattened(text: str) -> str:
    """Replace any white space by one blank."""
    return " ".join(text.split())


def _cut(processor: SentencePieceProcessor, lines: Sequence[str]) -> Iterator[list[int]]:
    """Ids of each line by the common model."""
    for first in range(0, len(lines), BLOCK_LINES):
        block = list(lines[first : first + BLOCK_LINES])
        found: list[list[int]] = processor.encode(block, out_type=int, num_threads=1)
        yield from found


def _put_together(pieces: Sequence[str]) -> str:
    # An unknown symbol stands for a character at least and is kept apart as a word of its own.
    marked = (f"{BLANK}{piece}{BLANK}" if piece == SPECIAL[UNKNOWN] else piece for piece in pieces)
    return " ".join("".join(marked).replace(BLANK, " ").split())
