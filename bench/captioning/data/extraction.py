"""All images of a corpus -> one file of features, on every core; made once and kept.

    <cache>/image-features/<key>/features.npy      [rows, D], little-endian float32
    <cache>/image-features/<key>/names.txt         images, a name a line
    <cache>/image-features/<key>/index.json        recipe and checksums

The key is the checksum of the recipe and of the images. A folder is made under another name and
renamed when it is whole; of several processes one makes it and the others wait; a damaged one is
made anew. Decoders and transforms let go of the interpreter's lock, so threads are enough.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from filelock import FileLock

from bench.captioning.data.classical import CLASSICAL, RECIPES, SIDE
from bench.captioning.data.images import Images
from bench.captioning.data.store import FeatureStore, open_store
from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.data.verification import digest_of
from bench.speech.data.store import num_cores

FORMAT = 1
"""Raised whenever the same recipe would give other numbers, so that old files are not read."""
BLOCK = 128
FEATURES, NAMES, INDEX = "features.npy", "names.txt", "index.json"
Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]  # (images so far, images in all)
Extract = Callable[[Sequence[str]], Floats]  # names -> their rows


class Index(Frozen, frozen=True, kw_only=True):
    """What a folder of features holds."""

    recipe: str
    num_rows: int
    features_sha256: str
    names_sha256: str


def computed(
    name: str, images: Images, cache: Path, *, progress: Progress | None = None
) -> FeatureStore:
    """Features of `CLASSICAL`; every image is made square, SIDE pixels a side, first."""
    describe = CLASSICAL[name]

    def one(image: str) -> Floats:
        picture = images(image)
        if picture.size != (SIDE, SIDE):
            picture = picture.resize((SIDE, SIDE))
        return describe(np.asarray(picture, np.float32) / np.float32(255))

    with ThreadPoolExecutor(num_cores()) as pool:
        return kept(
            name,
            images,
            cache,
            recipe=RECIPES[name],
            extract=lambda names: np.stack(list(pool.map(one, names))),
            progress=progress,
        )


def kept(
    name: str,
    images: Images,
    cache: Path,
    *,
    recipe: str,
    extract: Extract,
    progress: Progress | None = None,
) -> FeatureStore:
    """The features that `extract` makes of all images, from the cache where it did before.

    Raises BenchError for an image that cannot be read, and when the cache cannot be written.
    """
    folder = folder_of(images, cache, recipe=recipe)
    if (found := in_cache(name, folder, recipe)) is not None:
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if (found := in_cache(name, folder, recipe)) is None:
                _make(images.names, folder, recipe, extract, progress)
                found = in_cache(name, folder, recipe)
    except OSError as error:
        raise BenchError(f"cannot write features to {folder}: {error}; set BENCH_CACHE") from error
    assert found is not None
    return found


def folder_of(images: Images, cache: Path, *, recipe: str) -> Path:
    """Where the features of a recipe belong; its name is the key."""
    names = hashlib.sha256("\n".join(images.names).encode()).hexdigest()
    whole = f"{FORMAT} {recipe} {names} {images.fingerprint()}"
    return cache / "image-features" / hashlib.sha256(whole.encode()).hexdigest()


def in_cache(name: str, folder: Path, recipe: str) -> FeatureStore | None:
    """What lies in `folder`; None where nothing does, or something else than was written."""
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


def _make(
    names: Sequence[str], folder: Path, recipe: str, extract: Extract, progress: Progress | None
) -> None:
    for left in folder.parent.glob(f".{folder.name}-*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        _write(scratch / FEATURES, _blocks(names, extract, progress), len(names))
        (scratch / NAMES).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        index = Index(
            recipe=recipe,
            num_rows=len(names),
            features_sha256=digest_of(scratch / FEATURES, "sha256"),
            names_sha256=digest_of(scratch / NAMES, "sha256"),
        )
        (scratch / INDEX).write_bytes(msgspec.json.encode(index))
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _blocks(names: Sequence[str], extract: Extract, progress: Progress | None) -> Iterator[Floats]:
    for first in range(0, len(names), BLOCK):
        block = names[first : first + BLOCK]
        yield extract(block)
        if progress is not None:
            progress(first + len(block), len(names))


def _write(path: Path, blocks: Iterator[Floats], num_rows: int) -> None:
    """Blocks of rows one after another: a large corpus does not fit into memory."""
    array: np.memmap[tuple[int, ...], np.dtype[np.float32]] | None = None
    first = 0
    for block in blocks:
        if array is None:
            shape = (num_rows, *block.shape[1:])
            array = np.lib.format.open_memmap(path, mode="w+", dtype="<f4", shape=shape)
        array[first : first + len(block)] = block
        first += len(block)
    if array is None:
        raise BenchError(f"{path}: there is no image to make features of")
    array.flush()
