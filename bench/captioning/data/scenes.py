"""Scenes of two coloured shapes, captions of them from a grammar, and their pixels.

    a large red circle left of a small blue ring           0.75 ^ 3
    there is a small blue ring right of a big red circle   0.25 ^ 3

Captions vary in three ways, independent of the scene: the thing on the left or above is named first
or last; `there is` comes before it or not; large is big. The rarer form of each is taken with
probability q, independently, so the probability of every caption of a scene is known. No caption of
one scene is one of another.

A scene is a dark square of 3 x 3 cells, a thing in the middle of its cell or a little beside it,
with noise all over. The features of a cell are the coverage of each of its 6 x 6 parts, as contrast
with the background, and its mean colour: shape and colour separately, so that a linear layer reads
them.

Shapes: C colours, H W pixels, R cells, D features.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.captioning.data.words import Tokens
from bench.data.random import uniform

Draw = Callable[[], float]
"""Next of a stream of numbers between 0 and 1."""
COLOURS: Mapping[str, tuple[float, float, float]] = {
    "red": (0.9, 0.1, 0.1),
    "green": (0.1, 0.7, 0.2),
    "blue": (0.15, 0.25, 0.95),
    "yellow": (0.95, 0.9, 0.1),
    "purple": (0.65, 0.15, 0.8),
    "orange": (1.0, 0.55, 0.05),
    "turquoise": (0.1, 0.85, 0.85),
    "white": (0.97, 0.97, 0.97),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
SIZES = ("small", "large")
SIDE = 3
"""Cells in a row and in a column of a scene."""
NUM_THINGS = len(COLOURS) * len(SHAPES) * len(SIZES)
NUM_CONTENTS = 2 * NUM_THINGS * (NUM_THINGS - 1)
"""Different scenes, wherever in the picture: one thing, another, and the direction."""
BETWEEN = {
    ("across", "first"): ("left", "of"),
    ("across", "last"): ("right", "of"),
    ("down", "first"): ("above",),
    ("down", "last"): ("below",),
}


@dataclass(frozen=True, order=True)
class Thing:
    """One shape."""

    size: str
    colour: str
    shape: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Two different things in a row (`across`) or a column (`down`), `first` left or above."""

    first: Thing
    last: Thing
    direction: str
    places: tuple[tuple[int, int], tuple[int, int]]
    """Row and column of each."""

    @property
    def content(self) -> tuple[Thing, Thing, str]:
        """Everything that captions say."""
        return self.first, self.last, self.direction


def draw_scene(draw: Draw) -> Scene:
    """A random scene."""
    first = last = _draw_thing(draw)
    while last == first:
        last = _draw_thing(draw)
    direction = ("across", "down")[int(2 * draw())]
    line = int(SIDE * draw())
    pairs = list(itertools.combinations(range(SIDE), 2))
    one, other = pairs[int(len(pairs) * draw())]
    places = ((line, one), (line, other))
    if direction == "down":
        places = ((one, line), (other, line))
    return Scene(first=first, last=last, direction=direction, places=places)


def _draw_thing(draw: Draw) -> Thing:
    size, colour, shape = (of[int(len(of) * draw())] for of in (SIZES, tuple(COLOURS), SHAPES))
    return Thing(size, colour, shape)


def draw_caption(scene: Scene, draw: Draw, rarer_share: float) -> Tokens:
    """One of a scene's captions by its probability."""
    opened, turned, *big = (draw() < rarer_share for _ in range(4))
    return caption(scene, opened=opened, turned=turned, big=(big[0], big[1]))


def caption(
    scene: Scene,
    *,
    opened: bool = False,
    turned: bool = False,
    big: tuple[bool, bool] = (False, False),
) -> Tokens:
    """A caption of a scene, the likeliest by default.

    `opened`: begins with `there is`; `turned`: names the thing on the left or above last; `big`:
    says big instead of large of the first and of the last thing.
    """
    things = [_noun(scene.first, big[0]), _noun(scene.last, big[1])]
    between = BETWEEN[scene.direction, "last" if turned else "first"]
    if turned:
        things.reverse()
    return (*(("there", "is") if opened else ()), *things[0], *between, *things[1])


def _noun(thing: Thing, big: bool) -> Tokens:
    size = "big" if big and thing.size == "large" else thing.size
    return ("a", size, thing.colour, thing.shape)


Floats = npt.NDArray[np.float32]
BACKGROUND, NOISE = 0.12, 0.06
RADIUS = {"small": 0.24, "large": 0.4}
JITTER = 0.06
"""Largest shift of a thing, in sides of a cell."""
SUBDIVISIONS = 6
UNLIKE = 0.25
"""Difference of a colour from the background that counts as full coverage."""


def render(scene: Scene, cell: int, stream: np.random.PCG64) -> Floats:
    """Pixels between 0 and 1 [H, W, C]; `stream` decides the exact places and the noise."""
    side = SIDE * cell
    image_HWC = np.full((side, side, 3), BACKGROUND, np.float32)
    for thing, (row, column) in zip((scene.first, scene.last), scene.places, strict=True):
        shift = (2 * uniform(stream, 2) - 1) * JITTER * cell
        place = image_HWC[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
        inside_HW1 = coverage(thing, cell, (float(shift[0]), float(shift[1])))[:, :, None]
        place += inside_HW1 * (np.array(COLOURS[thing.colour], np.float32) - place)
    raw = stream.random_raw(image_HWC.size // 8 + 1).astype("<u8").view(np.uint8)
    noise = raw[: image_HWC.size].reshape(image_HWC.shape) / np.float32(127.5) - 1
    image_HWC += NOISE * noise
    return np.asarray(np.clip(image_HWC, 0, 1), np.float32)


def coverage(thing: Thing, cell: int, shift: tuple[float, float]) -> Floats:
    """Share of each pixel of a cell that the thing covers [cell, cell]."""
    row, column = _pixels(cell)
    y, x = row - shift[0], column - shift[1]
    radius = RADIUS[thing.size] * cell
    far = np.hypot(x, y)
    if thing.shape == "circle":
        depth = radius - far
    elif thing.shape == "ring":
        depth = np.minimum(radius - far, far - 0.55 * radius)
    elif thing.shape == "square":
        depth = 0.88 * radius - np.maximum(np.abs(x), np.abs(y))
    elif thing.shape == "cross":
        bars = (np.maximum(np.abs(x) / 0.35, np.abs(y)), np.maximum(np.abs(x), np.abs(y) / 0.35))
        depth = radius - np.minimum(*bars)
    else:
        assert thing.shape == "triangle"
        depth = np.minimum(0.75 * radius - y, 0.45 * (y + radius) - 0.9 * np.abs(x))
    return np.asarray(np.clip(depth + 0.5, 0, 1), np.float32)


def features(image_HWC: Floats) -> Floats:
    """Features of each cell, the coverage of its parts and its mean colour [R, D]."""
    channels_CHW = np.ascontiguousarray(image_HWC.transpose(2, 0, 1)) - np.float32(BACKGROUND)
    red, green, blue = np.abs(channels_CHW)
    unlike_HW = np.minimum(np.maximum(np.maximum(red, green), blue) / UNLIKE, 1)
    fine, coarse = _pooling(len(red), SIDE * SUBDIVISIONS), _pooling(len(red), SIDE)
    parts = (
        (fine @ unlike_HW @ fine.T)
        .reshape(SIDE, SUBDIVISIONS, SIDE, SUBDIVISIONS)
        .transpose(0, 2, 1, 3)
    )
    colours = (coarse @ channels_CHW @ coarse.T).transpose(1, 2, 0)
    found = [parts.reshape(SIDE**2, -1), 4 * colours.reshape(SIDE**2, 3)]
    return np.concatenate(found, axis=1).astype(np.float32)


@functools.cache
def _pooling(num_pixels: int, num_parts: int) -> Floats:
    """The mean over each of some equal parts as a matrix [parts, pixels]."""
    edges = np.linspace(0, num_pixels, num_parts + 1)
    first, end = np.arange(num_pixels), np.arange(num_pixels) + 1
    overlap = np.minimum(end, edges[1:, None]) - np.maximum(first, edges[:-1, None])
    return np.asarray(np.maximum(overlap, 0) * num_parts / num_pixels, np.float32)


@functools.cache
def _pixels(cell: int) -> tuple[Floats, Floats]:
    middle = (np.arange(cell) - (cell - 1) / 2).astype(np.float32)
    return middle[:, None], middle[None, :]
