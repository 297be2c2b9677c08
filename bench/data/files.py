"""Files of a corpus as a card states them: name, size, checksum, mirrors.

Imports neither torch nor numpy: listing tasks reads these and must stay fast.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, Protocol

from bench.core.structs import Frozen

DIGEST_LENGTHS = {"sha256": 64, "sha1": 40, "md5": 32}


class FileSpec(Frozen, frozen=True, kw_only=True):
    """File of a corpus; `path` is relative to the corpus folder.

    Unconfirmed digests are left out, never guessed; a file without any digest is not downloaded.
    """

    path: str
    size_bytes: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None

    def __post_init__(self) -> None:
        check_relative(self.path)
        check_digests({"sha256": self.sha256, "sha1": self.sha1, "md5": self.md5})

    def digest(self) -> tuple[str, str] | None:
        """Strongest checksum on the card, as (algorithm, hexadecimal digits)."""
        digests = {"sha256": self.sha256, "sha1": self.sha1, "md5": self.md5}
        return next(((name, digits) for name, digits in digests.items() if digits), None)


class Mirror(Frozen, frozen=True, kw_only=True):
    """Source of downloads: `members` maps the card's files to their paths at the mirror.

    Without `unpack` the address of a file is `url` + member; with `zip` the archive at `url` holds
    the members, and its own checksum, where the card has one, is checked first.
    """

    url: str
    members: dict[str, str]
    unpack: Literal["zip"] | None = None
    size_bytes: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        check_digests({"sha256": self.sha256})
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"{self.url!r} must begin with https:// or http://")
        for member in self.members.values():
            check_relative(member)


class CorpusFiles(Protocol):
    """Specification of a corpus in files, of any format."""

    @property
    def folder(self) -> str | None:
        """Name of its folder in $BENCH_DATA and in the cache."""

    @property
    def files(self) -> Mapping[str, FileSpec]:
        """Files by the card's names; none where a user's own folder is searched."""

    @property
    def mirrors(self) -> tuple[Mirror, ...]:
        """Sources of downloads, tried in order."""


def all_have_digests(spec: CorpusFiles) -> bool:
    """True if the card holds a checksum of every file."""
    known = [file.digest() is not None for file in spec.files.values()]
    return bool(known) and all(known)


def check_digests(digests: dict[str, str | None]) -> None:
    """Refuse a checksum that is not lower-case hexadecimal of its algorithm's length."""
    for algorithm, digits in digests.items():
        length = DIGEST_LENGTHS[algorithm]
        if digits is not None and not re.fullmatch(f"[0-9a-f]{{{length}}}", digits):
            raise ValueError(f"{algorithm} must be {length} lower-case hexadecimal digits")


def check_relative(path: str) -> None:
    """Refuse a path that could leave the folder it is joined to."""
    parts = path.replace("\\", "/").split("/")
    if path.startswith(("/", "\\")) or ":" in parts[0] or ".." in parts or not parts[-1]:
        raise ValueError(f"{path!r} must be a file's path relative to the corpus folder")


def walk_files(folder: Path) -> Iterator[Path]:
    """Files below a folder, sorted by name; links to folders are followed, each folder once."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:  # by another link, perhaps to a folder above
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        for name in sorted(names):
            yield Path(place, name)


def num_lines(path: Path) -> int:
    """Number of lines of a file; a last one without a newline counts."""
    content = path.read_bytes()
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def digest_of(path: Path, algorithm: str) -> str:
    """Hexadecimal checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def mismatch(path: Path, spec: FileSpec | None) -> str | None:
    """Difference of a file from the card's size and checksum, in words; None if it agrees.

    A file agrees with what the card does not state (`spec` None, or no size and checksum).
    """
    if spec is None:
        return None
    size_bytes = path.stat().st_size
    if spec.size_bytes is not None and size_bytes != spec.size_bytes:
        kind = "truncated" if size_bytes < spec.size_bytes else "altered"
        return (
            f"{path}: {kind}: {size_bytes:,} bytes where the card says {spec.size_bytes:,}"
            f" (it ends in line {num_lines(path):,})"
        )
    expected = spec.digest()
    if expected is None:
        return None
    algorithm, digits = expected
    found = digest_of(path, algorithm)
    if found == digits:
        return None
    return f"{path}: altered: {algorithm} {found} where the card says {digits}"


def num_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
