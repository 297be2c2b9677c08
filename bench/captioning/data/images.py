"""Images of a corpus: a tar or a folder of image files, opened one by one."""

from __future__ import annotations

import functools
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.core.errors import BenchError
from bench.data.files import digest_of, walk_files

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpg", ".jpeg", ".png")


class Images(Protocol):
    """Images by name; several threads may ask at once."""

    @property
    def names(self) -> Sequence[str]:
        """Names of all images; of files in alphabetical order."""
        ...

    def fingerprint(self) -> str:
        """A text that changes whenever an image does, without decoding any."""
        ...

    def __call__(self, name: str) -> Image:
        """One image in colour; BenchError where there is none or it cannot be read."""
        ...


class ImageFiles(ABC):
    """Image files by name, whatever folders they are in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def fingerprint(self) -> str:
        """See `Images`."""

    @abstractmethod
    def _files(self) -> Iterable[tuple[str, Any]]:
        """Path of each file, and what `_read` needs."""

    @abstractmethod
    def _read(self, place: Any) -> bytes: ...

    @functools.cached_property
    def _places(self) -> dict[str, Any]:
        places: dict[str, Any] = {}
        for path, place in self._files():
            if path.lower().endswith(SUFFIXES):
                name = Path(path).name
                if name in places:
                    raise BenchError(f"{self.path} holds two images {name}: leave only one of them")
                places[name] = place
        return places

    @property
    def names(self) -> Sequence[str]:
        return sorted(self._places)

    def __call__(self, name: str) -> Image:
        if name not in self._places:
            raise BenchError(f"{self.path} holds no image {name}")
        pillow, where = _pillow(), f"{name} in {self.path}"
        try:
            with pillow.open(BytesIO(self._read(self._places[name]))) as image:
                found: Image = image.convert("RGB")
                return found
        except (OSError, ValueError, SyntaxError) as error:
            raise BenchError(f"{where} cannot be read as an image: {error}") from error


class TarImages(ImageFiles):
    """Images in an uncompressed tar, read where they lie."""

    def fingerprint(self) -> str:
        return digest_of(self.path, "sha256")

    def _files(self) -> Iterable[tuple[str, tuple[int, int]]]:
        try:
            with tarfile.open(self.path, "r:") as archive:
                return [(m.name, (m.offset_data, m.size)) for m in archive if m.isfile()]
        except (OSError, tarfile.TarError) as error:
            raise BenchError(
                f"{self.path} cannot be read as an uncompressed tar: {error}"
            ) from error

    def _read(self, place: tuple[int, int]) -> bytes:
        first, size = place
        with self.path.open("rb") as stream:
            stream.seek(first)
            return stream.read(size)


class FolderImages(ImageFiles):
    """Image files in a folder and the folders below it."""

    def fingerprint(self) -> str:
        """Names, sizes and times of change."""
        states = [(name, self._places[name].stat()) for name in self.names]
        return str([(name, state.st_size, state.st_mtime_ns) for name, state in states])

    def _files(self) -> Iterable[tuple[str, Path]]:
        for path in walk_files(self.path):
            yield path.name, path

    def _read(self, place: Path) -> bytes:
        return place.read_bytes()


def find_images(folder: Path, candidates: Sequence[str]) -> Images | None:
    """Images of the first of some tars and folders that exists."""
    for path in (folder / candidate for candidate in candidates):
        if path.is_dir():
            return FolderImages(path)
        if path.is_file():
            return TarImages(path)
    return None


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
