"""Lines of text in memory as on the disk: bytes and offsets, no object a line.

A line ends with a line feed, and a carriage return before it is no part of it; no other separator
ends one, so that the lines of two files stay side by side.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from bench.data.decoding import Strictness, is_clean, line_fault, read_content

Ids = npt.NDArray[np.int64]
BLOCK_LINES = 1 << 14


class Lines(Sequence[str]):
    """Text by line, decoded on access; `first_N` and `end_N` are offsets in `content`."""

    def __init__(self, content: bytes, first_N: Ids, end_N: Ids) -> None:
        self.content, self.first_N, self.end_N = content, first_N, end_N

    @classmethod
    def split(cls, content: bytes) -> Lines:
        """Cut a file's bytes; a last line without a line feed counts."""
        content = content.removeprefix(codecs.BOM_UTF8)
        byte_N = np.frombuffer(content, np.uint8)
        end_N = np.flatnonzero(byte_N == ord("\n"))
        if len(byte_N) and byte_N[-1] != ord("\n"):
            end_N = np.append(end_N, len(byte_N))
        first_N = np.concatenate([[0], end_N[:-1] + 1])[: len(end_N)]
        if len(end_N):
            end_N = end_N - ((end_N > first_N) & (byte_N[end_N - 1] == ord("\r")))
        return cls(content, first_N.astype(np.int64), end_N.astype(np.int64))

    @classmethod
    def of(cls, lines: Iterable[str]) -> Lines:
        """Lines of strings without line feeds."""
        return cls.split("".join(f"{line}\n" for line in lines).encode())

    @classmethod
    def joined(cls, parts: Sequence[Lines]) -> Lines:
        """Concatenate."""
        if len(parts) == 1:
            return parts[0]
        shifts = np.cumsum([0, *(len(part.content) for part in parts)]).tolist()
        return cls(
            b"".join(part.content for part in parts),
            np.concatenate([p.first_N + s for p, s in zip(parts, shifts, strict=False)]),
            np.concatenate([p.end_N + s for p, s in zip(parts, shifts, strict=False)]),
        )

    def __len__(self) -> int:
        return len(self.first_N)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return self.raw(place).decode("utf-8")

    def __iter__(self) -> Iterator[str]:
        for first, end in zip(self.first_N.tolist(), self.end_N.tolist(), strict=True):
            yield self.content[first:end].decode("utf-8")

    def raw(self, place: int) -> bytes:
        """Bytes of a line."""
        return self.content[self.first_N[place] : self.end_N[place]]

    def take(self, places: Ids) -> Lines:
        """Lines at some places."""
        return Lines(self.content, self.first_N[places], self.end_N[places])

    def sha256(self) -> str:
        """Checksum of the lines, each with a line feed, whatever separated them on the disk."""
        digest = hashlib.sha256()
        for block in range(0, len(self), BLOCK_LINES):
            places = range(block, min(block + BLOCK_LINES, len(self)))
            digest.update(b"".join(self.raw(place) + b"\n" for place in places))
        return digest.hexdigest()

    def undecodable(self, strictness: Strictness = "text") -> dict[int, str]:
        """Place -> fault, of the lines that are not text; see `bench.data.decoding`."""
        found = {}
        for block in range(0, len(self), BLOCK_LINES):
            last = min(block + BLOCK_LINES, len(self)) - 1
            if is_clean(self.content[self.first_N[block] : self.end_N[last]], strictness):
                continue
            for place in range(block, last + 1):
                if (fault := line_fault(self.raw(place), strictness)) is not None:
                    found[place] = fault
        return found


def read_lines(path: Path) -> Lines:
    """Read the lines of a file, decompressed if its name ends in .gz.

    Raises UnreadableError for a file that cannot be decompressed, and for UTF-16. Single bad lines
    are in `undecodable`.
    """
    return Lines.split(read_content(path))
