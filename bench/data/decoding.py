"""Decoding of text: one rule for files, standard input, lists and lexicons.

Text is UTF-8. A byte-order mark at its start is dropped, a carriage return before a line feed is
part of the line's end. Everything else that shows a wrong encoding or a damaged file is a fault:
other encodings, null bytes, U+FFFD, control characters, a byte-order mark or a carriage return
inside.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Literal, cast

from bench.core.errors import BenchError

_CONTROLS = bytes(code for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n\r")
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_LOST, _MARK = "\ufffd".encode(), codecs.BOM_UTF8
_WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Byte-order mark -> encoding, the longer marks first."""
_HEAD_BYTES = 4096
_NULL_SHARE = 0.3
"""Share of null bytes at even or odd places from which a file is taken for UTF-16."""


Strictness = Literal["text", "decodable"]
"""decodable: of a corpus that its card pins, control characters and marks belong to it."""


class UnreadableError(Exception):
    """File that holds no lines of text."""


def read_content(path: Path) -> bytes:
    """Bytes of a text file, decompressed if its name ends in .gz, without a byte-order mark.

    Raises UnreadableError for a file that cannot be decompressed, and for UTF-16 and UTF-32.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableError(f"it cannot be decompressed ({error})") from error
    if (fault := encoding_fault(content)) is not None:
        raise UnreadableError(fault)
    return content.removeprefix(_MARK)


def open_text(path: Path) -> IO[bytes]:
    """Open a text file for its bytes, decompressed if its name ends in .gz."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def read_text_lines(path: Path) -> list[str]:
    """Lines of a text file without their ends.

    Raises BenchError, naming file, line and remedy, for a fault.
    """
    try:
        content = read_content(path)
    except UnreadableError as error:
        raise BenchError(f"{path}: {error}") from None
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    return list(decode_lines(lines, str(path)))


def decode_lines(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Decode lines that come one by one, as standard input does.

    Raises BenchError, naming `name`, line and remedy, for a fault.
    """
    for number, line in enumerate(lines, start=1):
        if number == 1:
            if (fault := encoding_fault(line)) is not None:
                raise BenchError(f"{name}: {fault}")
            line = line.removeprefix(_MARK)
        raw = line.rstrip(b"\r\n") if line.endswith(b"\n") else line.removesuffix(b"\r")
        if (fault := line_fault(raw)) is not None:
            raise BenchError(f"{name}, line {number:,}: {fault}; {remedy(fault)}")
        yield raw.decode("utf-8")


def encoding_fault(content: bytes) -> str | None:
    """Fault of a file that is not UTF-8 as a whole, by its first bytes."""
    for mark, encoding in _WIDE.items():
        if content.startswith(mark):
            return f"it is {encoding}: convert it with `iconv -f {encoding.lower()} -t utf-8`"
    head = content[:_HEAD_BYTES]
    for first, order in ((1, "le"), (0, "be")):
        places = head[first::2]
        if len(places) >= 8 and places.count(0) > _NULL_SHARE * len(places):
            if head[1 - first :: 2].count(0) > _NULL_SHARE * len(places):
                continue  # null bytes everywhere
            return (
                f"it is UTF-16 without a byte-order mark: convert it with `iconv -f utf-16{order} "
                "-t utf-8`"
            )
    return None


def is_clean(content: bytes, strictness: Strictness = "text") -> bool:
    """Test whether text, whole lines of it, has no fault; quick."""
    if strictness == "decodable":
        return b"\0" not in content and _LOST not in content and _is_utf8(content)
    if len(content.translate(None, _CONTROLS)) != len(content):
        return False
    if content.count(b"\r") != content.count(b"\r\n"):
        return False
    if _LOST in content or _MARK in content or (b"\xc2" in content and _C1.search(content)):
        return False
    return _is_utf8(content)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def line_fault(raw: bytes, strictness: Strictness = "text") -> str | None:
    """Fault of one line without its end; None for a good one."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} of it is not UTF-8"
    if "\ufffd" in text:
        return "a character was lost in an earlier conversion (U+FFFD)"
    if "\0" in text:
        return "it holds a null byte"
    if strictness == "decodable":
        return None
    if "\ufeff" in text:
        return "it holds a byte-order mark (U+FEFF)"
    if "\r" in text:
        return "it holds a carriage return that ends no line"
    for character in text:
        if (character < " " and character != "\t") or "\x7f" <= character <= "\x9f":
            return f"it holds the control character U+{ord(character):04X}"
    return None


def remedy(fault: str) -> str:
    """Advice on a fault of `line_fault`."""
    if "not UTF-8" in fault:
        return "convert the file to UTF-8 (for example with `iconv -t utf-8`) or restore it"
    if "carriage return" in fault:
        return "convert the line ends with `tr '\\r' '\\n'`"
    if "U+FFFD" in fault or "null byte" in fault:
        return "restore the original file"
    return "remove it"
