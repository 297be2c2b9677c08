"""Where the images of a corpus are: a tar or a folder of image files, opened one by one."""

from __future__ import annotations

import functools
import os
import tarfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from bench.core.errors import BenchError
from bench.data.files import digest_of

if TYPE_CHECKING:
    from PIL.Image import Image

Place = TypeVar("Place")
SUFFIXES = (".jpg", ".jpeg", ".png")


class Images(Protocol):
    """Images by name; may be asked from several threads at once."""

    @property
    def names(self) -> Sequence[str]:
        """Of all of them, in alphabetical order."""
        ...

    def fingerprint(self) -> str:
        """Changes whenever an image does, without decoding any."""
        ...

    def __call__(self, name: str) -> Image:
        """One image in colour; BenchError where there is none or it cannot be read."""
        ...


class TarImages:
    """Images in an uncompressed tar, in any folder of it; each is read where it lies."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @functools.cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        try:
            with tarfile.open(self.path, "r:") as archive:
                found = [(m.name, (m.offset_data, m.size)) for m in archive if m.isfile()]
        except (OSError, tarfile.TarError) as error:
            raise BenchError(
                f"{self.path} cannot be read as an uncompressed tar: {error}"
            ) from error
        return _by_name(found, self.path)

    @property
    def names(self) -> Sequence[str]:
        """See `Images`."""
        return sorted(self._places)

    def fingerprint(self) -> str:
        """See `Images`."""
        return digest_of(self.path, "sha256")

    def __call__(self, name: str) -> Image:
        """See `Images`."""
        first, size = _found(self._places, name, self.path)
        with self.path.open("rb") as stream:
            stream.seek(first)
            return decoded(stream.read(size), f"{name} in {self.path}")


class FolderImages:
    """Image files in a folder and the folders below it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @functools.cached_property
    def _places(self) -> dict[str, Path]:
        walk = os.walk(self.path)
        files = [Path(folder) / name for folder, _, names in walk for name in names]
        return _by_name([(str(file), file) for file in files], self.path)

    @property
    def names(self) -> Sequence[str]:
        """See `Images`."""
        return sorted(self._places)

    def fingerprint(self) -> str:
        """See `Images`; of names, sizes and times of change."""
        states = [(name, self._places[name].stat()) for name in self.names]
        return str([(name, state.st_size, state.st_mtime_ns) for name, state in states])

    def __call__(self, name: str) -> Image:
        """See `Images`."""
        place = _found(self._places, name, self.path)
        return decoded(place.read_bytes(), str(place))


def find_images(folder: Path, candidates: Sequence[str]) -> Images | None:
    """The first of some tars and folders that is there."""
    for candidate in candidates:
        path = folder / candidate
        if path.is_dir():
            return FolderImages(path)
        if path.is_file():
            return TarImages(path)
    return None


def decoded(content: bytes, where: str) -> Image:
    """An image in red, green and blue, whatever its file was."""
    pillow = _pillow()
    try:
        with pillow.open(BytesIO(content)) as image:
            found: Image = image.convert("RGB")
            return found
    except (OSError, ValueError, SyntaxError) as error:
        raise BenchError(f"{where} cannot be read as an image: {error}") from error


def picture(pixels_HWC: npt.NDArray[np.float32]) -> Image:
    """Pixels between 0 and 1 as an image."""
    found: Image = _pillow().fromarray(np.round(255 * pixels_HWC).astype(np.uint8))
    return found


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise BenchError(
            "images are opened by Pillow, which is not installed: pip install pillow"
        ) from None
    return Image


def _by_name(found: Sequence[tuple[str, Place]], where: Path) -> dict[str, Place]:
    """Image files by name, whatever folders they are in."""
    places: dict[str, Place] = {}
    for path, place in found:
        if path.lower().endswith(SUFFIXES):
            name = Path(path).name
            if name in places:
                raise BenchError(f"{where} holds two images {name}: leave only one of them")
            places[name] = place
    return places


def _found(places: Mapping[str, Place], name: str, where: Path) -> Place:
    if name not in places:
        raise BenchError(f"{where} holds no image {name}")
    return places[name]
