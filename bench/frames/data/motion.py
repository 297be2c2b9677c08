"""Where things are in each frame: straight ahead at a constant speed, back from the edges.

    x' = x + v;  beyond an edge: x' = the edge, v' = -v        in each direction on its own

as in N. Srivastava, E. Mansimov and R. Salakhutdinov, "Unsupervised learning of video
representations using LSTMs", ICML 2015. Places are rounded down to whole pixels for drawing.

M things, T frames, 2 directions (down, right).
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
Places = npt.NDArray[np.int16]


def paths(start_M2: Floats, velocity_M2: Floats, *, num_frames: int, room: int) -> Places:
    """The upper left corners of things between 0 and `room`, from the start on [M, T, 2]."""
    place, velocity = start_M2.copy(), velocity_M2.copy()
    found = np.empty((len(place), num_frames, 2), np.int16)
    for t in range(num_frames):
        found[:, t] = np.floor(place)
        place += velocity
        beyond = (place <= 0) | (place >= room)
        velocity[beyond] *= -1
        np.clip(place, 0, room, out=place)
    return found


def any_speed(
    stream: np.random.PCG64, number: int, *, room: int, slowest: float, fastest: float
) -> tuple[Floats, Floats]:
    """Start, direction and speed of things, each uniform: start and velocity [M, 2]."""
    start_M2 = room * uniform(stream, 2 * number).reshape(-1, 2)
    speed_M = slowest + (fastest - slowest) * uniform(stream, number)
    return start_M2, speed_M[:, None] * directions(stream, number)


def whole_pixels(
    stream: np.random.PCG64, number: int, *, room: int, fastest: int
) -> tuple[Floats, Floats]:
    """The same with whole numbers of pixels; nothing stands still."""
    start_M2 = np.floor((room + 1) * uniform(stream, 2 * number)).reshape(-1, 2)
    side = 2 * fastest + 1
    middle = side * side // 2
    choice_M = np.floor((side * side - 1) * uniform(stream, number)).astype(np.int64)
    choice_M += choice_M >= middle  # the middle is no motion
    velocity_M2 = np.stack(np.divmod(choice_M, side), axis=1) - fastest
    return start_M2, velocity_M2.astype(np.float64)


def directions(stream: np.random.PCG64, number: int) -> Floats:
    """Unit vectors, every direction being equally probable [M, 2].

    Points of the unit disc, drawn by rejection: square roots and divisions alone are the same on
    every machine, sines are not.
    """
    found = np.empty((0, 2))
    while len(found) < number:
        point = 2 * uniform(stream, 2 * number).reshape(-1, 2) - 1
        length = np.sqrt((point**2).sum(axis=1))
        inside = (length <= 1) & (length > 1e-3)
        found = np.concatenate([found, point[inside] / length[inside, None]])
    return found[:number]


def choices(stream: np.random.PCG64, number: int, *, of: int) -> Ints:
    """Numbers below `of`, all being equally probable."""
    return np.floor(of * uniform(stream, number)).astype(np.int64)


# What moves: handwritten digits from an idx file, or simple shapes.
#
# I images, Y X pixels.


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
