"""Whether a file is the one that the card means: its size and checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.data.files import FileSpec
from bench.text.data.reading import num_lines


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
