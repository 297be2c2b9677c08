"""Text off the disk in blocks, so that a corpus of any size needs little memory at a time."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import BenchError

BLOCK_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of a file that make up one split; `num_bytes` None means up to the end."""

    path: Path
    first_byte: int = 0
    num_bytes: int | None = None


def read_blocks(part: Part, *, unit: str) -> Iterator[str]:
    """The decoded text of a part, cut only after a newline; words also after a blank.

    A text of words without any newline is cut at blanks; characters keep their lines whole,
    because the blanks at a line's ends are not part of it.

    Raises BenchError that names the line of the first byte that is not UTF-8.
    """
    offset = part.first_byte
    for block in _cut(part, unit):
        try:
            yield block.removeprefix(codecs.BOM_UTF8 if offset == 0 else b"").decode("utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(part.path, offset + error.start) from error
        offset += len(block)


def line_of(part: Part, symbol: str, *, unit: str) -> int:
    """The number, from 1, of the first line of a part's file that holds `symbol`."""
    line = 1
    if part.first_byte:
        with part.path.open("rb") as stream:
            line += stream.read(part.first_byte).count(b"\n")
    for text in read_blocks(part, unit=unit):
        for words in text.split("\n"):
            if symbol in (words.split() if unit == "word" else words):
                return line
            line += 1
        line -= 1  # a block ends with its last line's newline, or goes on in the next block
    raise AssertionError(f"{symbol!r} is not in {part.path}")


def num_lines(path: Path) -> int:
    """How many lines a file has; one that ends without a newline counts."""
    content = path.read_bytes()
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def _cut(part: Part, unit: str) -> Iterator[bytes]:
    left = part.path.stat().st_size if part.num_bytes is None else part.num_bytes
    rest = b""
    with part.path.open("rb") as stream:
        stream.seek(part.first_byte)
        while chunk := stream.read(min(BLOCK_BYTES, left)):
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


def _not_utf8(path: Path, byte: int) -> BenchError:
    with path.open("rb") as stream:
        line = stream.read(byte).count(b"\n") + 1
    return BenchError(
        f"{path}, line {line}: byte {byte} is not UTF-8; convert the file to UTF-8 "
        "(for example with `iconv -t utf-8`) or restore the original"
    )
