"""Sprites and their motion: straight ahead at a constant speed, back from the edges.

    x' = x + v;  beyond an edge: x' = the edge, v' = -v        in each direction on its own

as in N. Srivastava, E. Mansimov and R. Salakhutdinov, "Unsupervised learning of video
representations using LSTMs", ICML 2015. Positions are rounded down to whole pixels for drawing.
Sprites are handwritten digits from an idx file, or simple shapes.

Shapes: M sprites that move, T frames, 2 directions (down, right), I images, Y X pixels.
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
from bench.data.random import uniform

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Corners = npt.NDArray[np.int16]
Pixels = npt.NDArray[np.uint8]


def paths(start_M2: Floats, velocity_M2: Floats, *, num_frames: int, room: int) -> Corners:
    """Upper left corners between 0 and `room` in each frame, from the start on [M, T, 2]."""
    position_M2, velocity_M2 = start_M2.copy(), velocity_M2.copy()
    corner_MT2 = np.empty((len(position_M2), num_frames, 2), np.int16)
    for t in range(num_frames):
        corner_MT2[:, t] = np.floor(position_M2)
        position_M2 += velocity_M2
        velocity_M2[(position_M2 <= 0) | (position_M2 >= room)] *= -1
        np.clip(position_M2, 0, room, out=position_M2)
    return corner_MT2


def uniform_motion(
    stream: np.random.PCG64, number: int, *, room: int, slowest: float, fastest: float
) -> tuple[Floats, Floats]:
    """Start and velocity [M, 2]; start, direction and speed are uniform."""
    start_M2 = room * uniform(stream, 2 * number).reshape(-1, 2)
    speed_M = slowest + (fastest - slowest) * uniform(stream, number)
    return start_M2, speed_M[:, None] * directions(stream, number)


def integer_motion(
    stream: np.random.PCG64, number: int, *, room: int, fastest: int
) -> tuple[Floats, Floats]:
    """Start and velocity [M, 2] in whole pixels, all but a velocity of zero equally probable."""
    start_M2 = np.floor((room + 1) * uniform(stream, 2 * number)).reshape(-1, 2)
    side = 2 * fastest + 1
    middle = side * side // 2
    choice_M = np.floor((side * side - 1) * uniform(stream, number)).astype(np.int64)
    choice_M += choice_M >= middle  # the middle is a velocity of zero
    velocity_M2 = np.stack(np.divmod(choice_M, side), axis=1) - fastest
    return start_M2, velocity_M2.astype(np.float64)


def directions(stream: np.random.PCG64, number: int) -> Floats:
    """Unit vectors [M, 2], all directions equally probable.

    They are drawn by rejection from the unit disc, since square roots and divisions are the same on
    every machine, and sines are not.
    """
    found = np.empty((0, 2))
    while len(found) < number:
        point = 2 * uniform(stream, 2 * number).reshape(-1, 2) - 1
        length = np.sqrt((point**2).sum(axis=1))
        inside = (length <= 1) & (length > 1e-3)
        found = np.concatenate([found, point[inside] / length[inside, None]])
    return found[:number]


def draw_indices(stream: np.random.PCG64, number: int, *, of: int) -> Ints:
    """Integers below `of`, all equally probable [M]."""
    return np.floor(of * uniform(stream, number)).astype(np.int64)


INK = 255
"""Value of a pixel that is all ink."""
IDX_IMAGES = 0x00000803
"""First four bytes of an idx file of images: unsigned bytes, three dimensions."""
SHAPES = (
    "XXXXXXX X.....X X.....X X.....X X.....X X.....X XXXXXXX",
    "...X... ...X... ...X... XXXXXXX ...X... ...X... ...X...",
    "X.....X .X...X. ..X.X.. ...X... ..X.X.. .X...X. X.....X",
    "..XXX.. .X...X. X.....X X.....X X.....X .X...X. ..XXX..",
    "...X... ..XXX.. .XXXXX. XXXXXXX .XXXXX. ..XXX.. ...X...",
    "XXXXXXX XXXXXXX XXXXXXX ....... ....... ....... .......",
)


def shapes() -> Pixels:
    """Simple shapes [I, 7, 7]."""
    rows = [[list(row) for row in shape.split()] for shape in SHAPES]
    return np.where(np.array(rows) == "X", INK, 0).astype(np.uint8)


def read_idx(path: Path, *, sha256: str | None = None) -> Pixels:
    """Images of an idx file that is packed by gzip [I, Y, X].

    Raises BenchError for another kind of file, and for other bytes than `sha256` says.
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
    if kind != IDX_IMAGES or len(content) != 16 + math.prod(sizes):
        raise BenchError(f"{path}: no idx file of images; put the original file in its place")
    return np.frombuffer(content, np.uint8, offset=16).reshape(sizes)
