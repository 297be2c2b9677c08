"""What moves: handwritten digits from an idx file, or simple shapes.

I images, Y X pixels.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.core.errors import BenchError

Pixels = npt.NDArray[np.uint8]
INK = 255
IMAGES = 0x00000803
"""The first four bytes of an idx file of images: unsigned bytes, three dimensions."""
SHAPES = (
    "XXXXXXX X.....X X.....X X.....X X.....X X.....X XXXXXXX",
    "...X... ...X... ...X... XXXXXXX ...X... ...X... ...X...",
    "X.....X .X...X. ..X.X.. ...X... ..X.X.. .X...X. X.....X",
    "..XXX.. .X...X. X.....X X.....X X.....X .X...X. ..XXX..",
    "...X... ..XXX.. .XXXXX. XXXXXXX .XXXXX. ..XXX.. ...X...",
    "XXXXXXX XXXXXXX XXXXXXX ....... ....... ....... .......",
)


def shapes() -> Pixels:
    """The simple shapes, ink on nothing [I, 7, 7]."""
    rows = [[list(row) for row in shape.split()] for shape in SHAPES]
    return np.where(np.array(rows) == "X", INK, 0).astype(np.uint8)


def read_idx(path: Path, *, sha256: str | None = None) -> Pixels:
    """The images of an idx file, packed by gzip [I, Y, X].

    Raises BenchError for a file that is no such thing, and for other bytes than `sha256` says.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise BenchError(f"{path}: damaged ({error}); put the original file in its place") from None
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise BenchError(
            f"{path}: altered: unpacked, its sha256 is {found} where the card says {sha256}; put "
            "the original file in its place"
        )
    kind, *sizes = struct.unpack(">4I", content[:16].ljust(16, b"\0"))
    if kind != IMAGES or len(content) != 16 + math.prod(sizes):
        raise BenchError(f"{path}: no idx file of images; put the original file in its place")
    return np.frombuffer(content, np.uint8, offset=16).reshape(sizes)
