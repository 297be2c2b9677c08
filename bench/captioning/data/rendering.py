"""Scenes as pixels, and as features that say what stands where.

A scene is a dark square of 3 x 3 cells, a thing in the middle of its cell or a little beside it,
with noise all over. The features of a cell are how much of each of its 6 x 6 parts is unlike the
background, and its mean colour: shape and colour each by themselves, so that a linear layer reads
them. `cells` are those of all cells in a row, `grid` has a row a cell, for attention.

C colours, H W pixels, R cells, D features.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from bench.captioning.data.grammar import COLOURS, SIDE, Scene, Thing
from bench.text.data.language import uniform

Floats = npt.NDArray[np.float32]
BACKGROUND, NOISE = 0.12, 0.06
RADIUS = {"small": 0.24, "large": 0.4}
JITTER = 0.06
"""Of a cell's side, to either side."""
PARTS = 6
UNLIKE = 0.25
"""The distance of a colour from the background that counts as all unlike it."""


def render(scene: Scene, cell: int, stream: np.random.PCG64) -> Floats:
    """Pixels between 0 and 1 [H, W, C]; `stream` says where exactly things are, and the noise."""
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
    """How much of each pixel of a cell the thing covers [cell, cell]."""
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
    """Of each cell the coverage of its parts and its mean colour [R, D]."""
    channels_CHW = np.ascontiguousarray(image_HWC.transpose(2, 0, 1)) - np.float32(BACKGROUND)
    red, green, blue = np.abs(channels_CHW)
    unlike_HW = np.minimum(np.maximum(np.maximum(red, green), blue) / UNLIKE, 1)
    fine, coarse = _pooling(len(red), SIDE * PARTS), _pooling(len(red), SIDE)
    parts = (fine @ unlike_HW @ fine.T).reshape(SIDE, PARTS, SIDE, PARTS).transpose(0, 2, 1, 3)
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
