"""Files of a corpus as a card states them: name, size, checksum, and where to fetch them.

Imports neither torch nor numpy: listing tasks reads these and must stay fast.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from bench.core.structs import Frozen

DIGEST_LENGTHS = {"sha256": 64, "sha1": 40, "md5": 32}


class FileSpec(Frozen, frozen=True, kw_only=True):
    """One file of a corpus; `path` is relative to the corpus folder.

    A digest that nobody could confirm is left out, never guessed; a file without any digest is
    not downloaded.
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
        """The strongest checksum that the card holds, as (algorithm, hexadecimal digits)."""
        if self.sha256:
            return "sha256", self.sha256
        if self.sha1:
            return "sha1", self.sha1
        return ("md5", self.md5) if self.md5 else None


class Mirror(Frozen, frozen=True, kw_only=True):
    """Where files can be fetched: `members` maps the card's file to its path at the mirror.

    Without `unpack` each file lies at `url` + member; with `zip` the archive at `url` holds the
    members, and its own checksum, where the card has one, is checked first.
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


class InFiles(Protocol):
    """What a corpus that lies in files says of them, whatever they hold."""

    @property
    def folder(self) -> str | None:
        """Name of its folder in $BENCH_DATA and in the cache."""
        ...

    @property
    def files(self) -> Mapping[str, FileSpec]:
        """Its files by the card's names; none where a user's own folder is searched."""
        ...

    @property
    def mirrors(self) -> tuple[Mirror, ...]:
        """Where they can be fetched."""
        ...


def all_have_digests(spec: InFiles) -> bool:
    """Whether the card holds a checksum of every file."""
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


# Whether a file is the one that the card means: its size and checksum.


def num_lines(path: Path) -> int:
    """How many lines a file has; one that ends without a newline counts."""
    content = path.read_bytes()
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def digest_of(path: Path, algorithm: str) -> str:
    """The hexadecimal checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def mismatch(path: Path, spec: FileSpec | None) -> str | None:
    """In words, how a file differs from the card's facts; None where it does not.

    Without facts (`spec` None, or a card without size and checksum) nothing can differ.
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
