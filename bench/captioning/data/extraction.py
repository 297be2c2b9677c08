"""Features computed from all images of a corpus, on every core, and their cache.

    <cache>/image-features/<key>/features.npy      [rows, D], little-endian float32
    <cache>/image-features/<key>/names.txt         images, a name a line
    <cache>/image-features/<key>/index.json        recipe and checksums

The key is the checksum of the recipe and of the images. Decoders and transforms release the
interpreter's lock, so threads are enough.

    colour-histogram    shares of 8 hues x 4 saturations x 4 values, of the image and of its
                        quarters; square roots, so that the cosine is Bhattacharyya's coefficient
    hog                 gradients' directions by cell, normalised over blocks of cells
                        (Dalal and Triggs, 2005)
    gist                energies of Gabor filters in a coarse grid (Oliva and Torralba, 2001)

These need no weights and are computed from images of 128 x 128 pixels.

Shapes: C colours, H W pixels, S scales, O orientations, D features.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import fft

from bench.captioning.data.images import Images
from bench.captioning.data.store import FeatureStore, open_store
from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.data.files import digest_of, num_cores
from bench.data.problems import Progress
from bench.data.sources import cached_folder

Floats = npt.NDArray[np.float32]
SIDE = 128
"""Pixels of a side of an image."""
NUM_HUES, NUM_SATURATIONS, NUM_VALUES = 8, 4, 4
CELL, NUM_DIRECTIONS, HOG_CLIP = 16, 9, 0.2
NUM_SCALES, NUM_ORIENTATIONS, NUM_BLOCKS, MARGIN = 4, 8, 4, 16
RECIPES: Mapping[str, str] = {
    "colour-histogram": "hsv 8x4x4, image and quarters, square roots of shares; 1",
    "hog": f"{SIDE} pixels, cells of 16, 9 directions, blocks of 2x2, L2 clipped at 0.2; 1",
    "gist": f"{SIDE} pixels, 4 scales x 8 orientations, 4x4 blocks; 1",
}


def colour_histogram(image_HWC: Floats) -> Floats:
    """Histogram [5 x 8 x 4 x 4] of red, green and blue between 0 and 1."""
    hue, saturation, value = hsv(image_HWC)
    place_HW = np.minimum((hue * NUM_HUES).astype(np.int64), NUM_HUES - 1)
    for channel, number in ((saturation, NUM_SATURATIONS), (value, NUM_VALUES)):
        place_HW = place_HW * number + np.minimum((channel * number).astype(np.int64), number - 1)
    half_y, half_x = (size // 2 for size in place_HW.shape)
    halves = place_HW[:half_y], place_HW[half_y:]
    parts = [place_HW, *(p for half in halves for p in (half[:, :half_x], half[:, half_x:]))]
    num_bins = NUM_HUES * NUM_SATURATIONS * NUM_VALUES
    counts = [np.bincount(part.ravel(), minlength=num_bins) / part.size for part in parts]
    return np.sqrt(np.concatenate(counts)).astype(np.float32)


def hsv(image_HWC: Floats) -> tuple[Floats, Floats, Floats]:
    """Hue, saturation and value, each between 0 and 1; the hue of grey is 0."""
    red, green, blue = np.moveaxis(image_HWC, 2, 0)
    value = image_HWC.max(axis=2)
    spread = value - image_HWC.min(axis=2)
    safe = np.where(spread > 0, spread, 1)
    sector = np.where(value == red, (green - blue) / safe % 6, 0)
    sector = np.where((value == green) & (value != red), (blue - red) / safe + 2, sector)
    sector = np.where((value != green) & (value != red), (red - green) / safe + 4, sector)
    hue = np.where(spread > 0, sector / 6, 0)
    saturation = np.where(value > 0, spread / np.where(value > 0, value, 1), 0)
    return hue.astype(np.float32), saturation.astype(np.float32), value


def hog(image_HWC: Floats) -> Floats:
    """Gradients [7 x 7 x 4 x 9] of red, green and blue between 0 and 1.

    The gradient of a pixel is that of its steepest colour, shared between the two nearest of nine
    directions; cells of 16 pixels; blocks of 2 x 2 cells, normalised, clipped, normalised again.
    """
    dy_HWC, dx_HWC = np.gradient(image_HWC, axis=(0, 1))
    size_HWC = np.hypot(dx_HWC, dy_HWC)
    steepest = size_HWC.argmax(axis=2)[:, :, None]
    size, dx, dy = (
        np.take_along_axis(a, steepest, axis=2)[:, :, 0] for a in (size_HWC, dx_HWC, dy_HWC)
    )
    angle = np.arctan2(dy, dx) / np.pi % 1 * NUM_DIRECTIONS
    lower = np.floor(angle).astype(np.int64)
    share = angle - lower
    cells = np.zeros((image_HWC.shape[0] // CELL, image_HWC.shape[1] // CELL, NUM_DIRECTIONS))
    row, column = (np.arange(n * CELL) // CELL for n in cells.shape[:2])
    size, share, lower = (a[: len(row), : len(column)] for a in (size, share, lower))
    for direction, weight in ((lower, size * (1 - share)), (lower + 1, size * share)):
        places = (row[:, None], column[None, :], direction % NUM_DIRECTIONS)
        np.add.at(cells, places, weight)
    blocks = np.concatenate(
        [cells[:-1, :-1], cells[:-1, 1:], cells[1:, :-1], cells[1:, 1:]], axis=2
    )
    return unit(np.minimum(unit(blocks), HOG_CLIP)).astype(np.float32).ravel()


def unit(x_HWD: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Vectors of length one; those of nearly no length stay short."""
    return np.asarray(x_HWD / np.sqrt((x_HWD**2).sum(axis=2, keepdims=True) + 1e-6))


def gist(image_HWC: Floats) -> Floats:
    """Mean response of each Gabor filter in each of 4 x 4 blocks [4 x 8 x 16].

    The image is made grey, mirrored at its edges, its local contrast evened out.
    """
    grey = np.pad(image_HWC.mean(axis=2), MARGIN, mode="symmetric")
    spectrum = fft.fft2(evened(grey))
    block = image_HWC.shape[0] // NUM_BLOCKS
    found = []
    for filters_OHW in gabor_filters(grey.shape[0]):  # one scale at a time fits into the cache
        response_OHW = np.abs(fft.ifft2(spectrum * filters_OHW, overwrite_x=True))
        inner = response_OHW[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        blocks = inner.reshape(len(inner), NUM_BLOCKS, block, NUM_BLOCKS, block)
        found.append(blocks.mean(axis=(2, 4)))
    return np.stack(found).astype(np.float32).ravel()


def evened(grey_HW: Floats) -> Floats:
    """Logarithm without its slow changes, divided by its local deviation."""
    bright = np.log1p(255 * grey_HW).astype(np.float32)
    slow = _slow(grey_HW.shape[0])
    fine = bright - fft.ifft2(fft.fft2(bright) * slow).real
    deviation = np.sqrt(np.abs(fft.ifft2(fft.fft2(fine**2) * slow).real))
    return np.asarray(fine / (0.2 + deviation), np.float32)


@functools.cache
def _slow(size: int) -> Floats:
    """Gaussian low-pass filter [H, W], half its height at 4 cycles an image."""
    cycles = np.fft.fftfreq(size) * size
    height = np.exp(-np.log(2) * (cycles[:, None] ** 2 + cycles[None, :] ** 2) / 4**2)
    return np.asarray(height, np.float32)


@functools.cache
def gabor_filters(size: int) -> Floats:
    """Transfer functions [S, O, H, W].

    At frequency f, cycles a pixel, and angle theta from the filter's:
    exp(-3.5 (f/f_s - 1)^2 - 2 pi (O/8)^2 theta^2), f_s = 0.3 / 1.85^s.
    """
    cycles = np.fft.fftfreq(size)
    f = np.hypot(cycles[:, None], cycles[None, :])
    angle = np.arctan2(cycles[:, None], cycles[None, :])
    along = np.pi * np.arange(NUM_ORIENTATIONS)[:, None, None] / NUM_ORIENTATIONS
    apart_OHW = (angle - along + np.pi) % (2 * np.pi) - np.pi
    narrow_OHW = 2 * np.pi * (NUM_ORIENTATIONS / 8) ** 2 * apart_OHW**2
    scales = [
        np.exp(-3.5 * (f / (0.3 / 1.85**scale) - 1) ** 2 - narrow_OHW)
        for scale in range(NUM_SCALES)
    ]
    return np.stack(scales).astype(np.float32)


CLASSICAL: Mapping[str, Callable[[Floats], Floats]] = {
    "colour-histogram": colour_histogram,
    "hog": hog,
    "gist": gist,
}


FORMAT = 1
"""Raised when the same recipe gives other numbers, so that old files are not read."""
BLOCK = 128
"""Images whose features are written at a time."""
FEATURES, NAMES, INDEX = "features.npy", "names.txt", "index.json"
Extract = Callable[[Sequence[str]], Floats]
"""Names -> rows."""


class Index(Frozen, frozen=True, kw_only=True):
    """Facts of a folder of features."""

    recipe: str
    num_rows: int
    features_sha256: str
    names_sha256: str


def computed(
    name: str, images: Images, cache: Path, *, progress: Progress | None = None
) -> FeatureStore:
    """Features of `CLASSICAL`, of images resized to SIDE x SIDE pixels."""
    describe = CLASSICAL[name]

    def one(image: str) -> Floats:
        picture = images(image)
        if picture.size != (SIDE, SIDE):
            picture = picture.resize((SIDE, SIDE))
        return describe(np.asarray(picture, np.float32) / np.float32(255))

    with ThreadPoolExecutor(num_cores()) as pool:
        return cached(
            name,
            images,
            cache,
            recipe=RECIPES[name],
            extract=lambda names: np.stack(list(pool.map(one, names))),
            progress=progress,
        )


def cached(
    name: str,
    images: Images,
    cache: Path,
    *,
    recipe: str,
    extract: Extract,
    progress: Progress | None = None,
) -> FeatureStore:
    """Features that `extract` computes from all images, or the cache has.

    Raises BenchError for an image that cannot be read, and when the cache cannot be written.
    """
    folder = folder_of(images, cache, recipe=recipe)
    return cached_folder(
        folder,
        read=lambda: in_cache(name, folder, recipe),
        write=lambda scratch: _write(images.names, scratch, recipe, extract, progress),
    )


def folder_of(images: Images, cache: Path, *, recipe: str) -> Path:
    """Folder of the features of a recipe; its name is the key."""
    names = hashlib.sha256("\n".join(images.names).encode()).hexdigest()
    whole = f"{FORMAT} {recipe} {names} {images.fingerprint()}"
    return cache / "image-features" / hashlib.sha256(whole.encode()).hexdigest()


def in_cache(name: str, folder: Path, recipe: str) -> FeatureStore | None:
    """Features in `folder`; None where there are none, or they are not as they were written."""
    try:
        index = msgspec.json.decode((folder / INDEX).read_bytes(), type=Index)
        if digest_of(folder / NAMES, "sha256") != index.names_sha256:
            return None
        store = open_store(name, folder / FEATURES, folder / NAMES, what=recipe)
    except (OSError, msgspec.MsgspecError, BenchError):
        return None
    if store.sha256 != index.features_sha256:
        return None
    return replace(store, sha256=folder.name)


def _write(
    names: Sequence[str], folder: Path, recipe: str, extract: Extract, progress: Progress | None
) -> None:
    _write_rows(folder / FEATURES, names, extract, progress)
    (folder / NAMES).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    index = Index(
        recipe=recipe,
        num_rows=len(names),
        features_sha256=digest_of(folder / FEATURES, "sha256"),
        names_sha256=digest_of(folder / NAMES, "sha256"),
    )
    (folder / INDEX).write_bytes(msgspec.json.encode(index))


def _write_rows(
    path: Path, names: Sequence[str], extract: Extract, progress: Progress | None
) -> None:
    """Write block by block: a large corpus does not fit into memory."""
    if not names:
        raise BenchError(f"{path}: there is no image to make features of")
    array: np.memmap[tuple[int, ...], np.dtype[np.float32]] | None = None
    for first in range(0, len(names), BLOCK):
        block = extract(names[first : first + BLOCK])
        if array is None:
            shape = (len(names), *block.shape[1:])
            array = np.lib.format.open_memmap(path, mode="w+", dtype="<f4", shape=shape)
        array[first : first + len(block)] = block
        if progress is not None:
            progress(first + len(block), len(names))
    assert array is not None
    array.flush()
