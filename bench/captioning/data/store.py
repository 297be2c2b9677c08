"""Features of images: one row an image in a memory-mapped `.npy`, the images' names beside it.

    features      [rows, D], or of a grid or of R regions of each image [rows, R, D]
    names         as many, in the order of the rows

Features are read as float32. Rows, order and checksum are checked before the first is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.core.errors import BenchError
from bench.data.decoding import read_text_lines
from bench.data.files import digest_of

Ids = npt.NDArray[np.int64]
Features = npt.NDArray[np.float32]
NUM_ROWS = 4096
NUM_SHOWN = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureStore:
    """Features of images by row, made as `what` says."""

    name: str
    array: npt.NDArray[np.floating]
    """[rows, D] or [rows, R, D]."""
    names: Sequence[str]
    sha256: str
    """Checksum of the file; of recipe and images where it was computed here, as rounding may
    differ."""
    what: str
    row: Mapping[str, int] = field(init=False, repr=False)
    """Name -> row."""

    def __post_init__(self) -> None:
        assert len(self.array) == len(self.names)
        row = {name: number for number, name in enumerate(self.names)}
        object.__setattr__(self, "row", row)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> int:
        """D."""
        return int(self.array.shape[-1])

    def rows(self, index: Ids) -> Features:
        """Some rows [B, D] or [B, R, D], in the order of `index`, which may repeat itself."""
        return np.asarray(self.array[index], np.float32)

    def rows_of(self, names: Sequence[str], *, split: str, task: str) -> Ids:
        """Row of each image [I]; BenchError for images that have none."""
        lacking = [name for name in names if name not in self.row]
        if lacking:
            shown = ", ".join(lacking[:NUM_SHOWN]) + (" ..." if lacking[NUM_SHOWN:] else "")
            raise BenchError(
                f"{task}: the features {self.name!r} have no row for {len(lacking):,} of the "
                f"{len(names):,} images of {split} ({shown}): they are of other images, or not "
                "all are there: make them again, or choose others by --data.features"
            )
        return np.array([self.row[name] for name in names], np.int64)


def open_store(name: str, array: Path, names: Path, *, what: str) -> FeatureStore:
    """Features in a `.npy` file, with the list of names that belongs to it.

    Raises BenchError, in one line, for files that are missing, are no such array, disagree in the
    number of rows, name an image twice or hold values that are not finite.
    """
    for path in (array, names):
        if not path.is_file():
            raise BenchError(f"{path} is missing: the features {name!r} need it")
    found = _mapped(array)
    listed = _names(names)
    if len(listed) != len(found):
        raise BenchError(
            f"{array}: {len(found):,} rows where {names.name} lists {len(listed):,} images: the "
            "two do not belong together"
        )
    _check_finite(found, array)
    digest = digest_of(array, "sha256")
    return FeatureStore(name=name, array=found, names=listed, sha256=digest, what=what)


def _mapped(path: Path) -> npt.NDArray[np.floating]:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BenchError(f"{path} cannot be read as a .npy array: {error}") from error
    if not isinstance(found, np.ndarray) or found.ndim not in (2, 3) or found.dtype.kind != "f":
        shape = getattr(found, "shape", "several arrays")
        raise BenchError(
            f"{path}: {shape} of {getattr(found, 'dtype', 'no kind')} where features are floating "
            "point numbers [images, D] or [images, regions, D]"
        )
    return found


def _names(path: Path) -> tuple[str, ...]:
    listed = read_text_lines(path)
    row: dict[str, int] = {}
    for number, name in enumerate(listed, start=1):
        if not name.strip():
            raise BenchError(f"{path}, line {number:,}: no name: each line names one image")
        if name in row:
            raise BenchError(
                f"{path}, line {number:,}: {name} stands in line {row[name]:,} already"
            )
        row[name] = number
    return tuple(listed)


def _check_finite(array: npt.NDArray[np.floating], path: Path) -> None:
    for first in range(0, len(array), NUM_ROWS):
        block = array[first : first + NUM_ROWS]
        bad = ~np.isfinite(block).reshape(len(block), -1).all(axis=1)
        if bad.any():
            row = first + int(np.argmax(bad))
            raise BenchError(f"{path}: row {row:,} holds values that are not finite")
