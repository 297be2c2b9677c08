"""Identity of data that no card pins: a checksum of its content, part of a run's name."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.decoding import open_text
from bench.data.files import CorpusFiles
from bench.data.sources import candidates, own_folder
from bench.domains import domain_of, load_attribute

FEATURES = "features "
"""Beginning of the names of features among the parts of a corpus."""
RECORDINGS = "recordings "
"""Beginning of the names of what a known speech corpus consists of."""
_known: dict[tuple[str, int, int, int], str] = {}
"""(path, inode, bytes, nanoseconds of the last change) -> sha256, of files hashed before."""


def data_identity(card: Card, data: DataConfig) -> str | None:
    """Sixteen hexadecimal digits that name the content of a user's own data.

    None where the card pins every byte by checksums, or generates them. Raises BenchError for data
    that is not there.
    """
    return _digest(unpinned_digests(card, data))


def corpus_identity(card: Card, data: DataConfig) -> str | None:
    """Eight hexadecimal digits of the content that numbers have to share to be comparable.

    Features are left out, which are what a model reads and not what it is measured on, and
    recordings of a corpus that the card knows by its counts.
    """
    unpinned = unpinned_digests(card, data).items()
    found = _digest({n: sha for n, sha in unpinned if not n.startswith((FEATURES, RECORDINGS))})
    return found and found[:8]


def _digest(unpinned: Mapping[str, str]) -> str | None:
    if not unpinned:
        return None
    content = msgspec.json.encode(dict(unpinned), order="deterministic")
    return hashlib.sha256(content).hexdigest()[:16]


def unpinned_digests(card: Card, data: DataConfig) -> Mapping[str, str]:
    """Role (`train`, `test source`) -> sha256 of the content that the card does not pin."""
    domain = domain_of(card.corpus)
    if data.path is not None and not hasattr(card.corpus, "folder"):
        raise BenchError(f"{card.task} is generated and reads no files: leave out --data.path")
    if domain.unpinned is None:
        return {}
    found: Mapping[str, str] = load_attribute(domain.unpinned)(card, data)
    return found


def file_sha256(path: Path) -> str:
    """Checksum of a file, of a .gz that of what it holds.

    It is computed once in a process as long as the file does not change.
    """
    status = path.stat()
    key = (str(path.resolve()), status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _known:
        try:
            with open_text(path) as stream:
                _known[key] = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BenchError(f"{path}: it cannot be decompressed ({error})") from None
    return _known[key]


def unpinned_files(
    spec: CorpusFiles, card: Card, data: DataConfig, names: Iterable[str] | None = None
) -> dict[str, str]:
    """Checksums of the card's files, or those of some `names`, that it holds no checksum of.

    Empty where they are not there: loading the corpus says so.
    """
    files = {
        name: file
        for name, file in spec.files.items()
        if (names is None or name in names) and file.digest() is None
    }
    for folder in candidates(spec, own_folder(card.task, data)):
        if all((folder / file.path).is_file() for file in files.values()):
            return {name: file_sha256(folder / file.path) for name, file in files.items()}
    return {}


def check_same_data(recorded: Mapping[str, str], found: Mapping[str, str], *, run: str) -> None:
    """Refuse data that is not what a run was measured on.

    Both map files or arrays to their sha256; names that only one of them has are not compared.
    Raises BenchError naming the first that differs.
    """
    for name in sorted(recorded.keys() & found.keys()):
        if found[name] != recorded[name]:
            raise BenchError(
                f"run {run} was measured on other data: {name} had sha256 {recorded[name][:12]}, "
                f"now it has {found[name][:12]}; put the original back, or run anew on this data"
            )
