"""Download of a corpus from its card's mirrors, on request only.

Files are checked under another name, then renamed. Existing files are never overwritten, and files
without a checksum on the card are never fetched.
"""

from __future__ import annotations

import http.client
import os
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path
from typing import IO

from filelock import FileLock

from bench import __version__
from bench.core.errors import BenchError
from bench.data.files import CorpusFiles, FileSpec, Mirror, mismatch
from bench.data.sources import DownloadProgress

CHUNK_BYTES = 1 << 18
TIMEOUT_SEC = 30


class _MirrorError(Exception):
    """Failure of one mirror; the next one is tried."""


def fetch(
    spec: CorpusFiles, folder: Path, *, task: str, progress: DownloadProgress | None = None
) -> None:
    """Fetch the files missing from `folder`, under a lock.

    Raises BenchError that names each mirror and its failure.
    """
    for file in spec.files.values():
        if file.digest() is None and not (folder / file.path).is_file():
            raise BenchError(
                f"{task}: the card holds no checksum of {file.path}, so it is not downloaded; "
                f"put it in {folder} by hand"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            reasons = _fetch_missing(spec, folder, progress)
    except OSError as error:
        raise BenchError(f"{task}: cannot write to {folder}: {error}; set BENCH_CACHE") from error
    missing = _missing(spec, folder)
    if missing:
        names = ", ".join(spec.files[name].path for name in missing)
        why = "; ".join(reasons) or "the card names no mirror"
        raise BenchError(f"{task}: could not fetch {names}: {why}; put them in {folder} by hand")


def _missing(spec: CorpusFiles, folder: Path) -> list[str]:
    return [name for name, file in spec.files.items() if not (folder / file.path).is_file()]


def _fetch_missing(spec: CorpusFiles, folder: Path, progress: DownloadProgress | None) -> list[str]:
    reasons = []
    for mirror in spec.mirrors:
        names = [name for name in _missing(spec, folder) if name in mirror.members]
        if not names:
            continue
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            try:
                _fetch_from(mirror, names, spec, folder, Path(scratch), progress)
            except _MirrorError as failure:
                reasons.append(str(failure))
    return reasons


def _fetch_from(
    mirror: Mirror,
    names: list[str],
    spec: CorpusFiles,
    folder: Path,
    scratch: Path,
    progress: DownloadProgress | None,
) -> None:
    archive = scratch / "archive"
    if mirror.unpack == "zip":
        facts = FileSpec(path="archive", size_bytes=mirror.size_bytes, sha256=mirror.sha256)
        _retrieve(mirror.url, archive, facts, progress)
    for name in names:
        file, member = spec.files[name], mirror.members[name]
        checked = scratch / name
        if mirror.unpack == "zip":
            _unpack(archive, member, checked, file, mirror.url)
        else:
            _retrieve(mirror.url + member, checked, file, progress)
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(checked, target)


def _retrieve(url: str, target: Path, facts: FileSpec, progress: DownloadProgress | None) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": f"sequence-bench/{__version__}"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SEC) as response:
            length = response.headers.get("Content-Length")
            total = facts.size_bytes or (int(length) if length and length.isdigit() else None)
            _copy(response, target, facts.size_bytes, url, progress, total)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, OSError) as error:
        raise _MirrorError(f"{url}: {error}") from error
    _check(target, facts, url)


def _unpack(archive: Path, member: str, target: Path, facts: FileSpec, url: str) -> None:
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as stream:
            _copy(stream, target, facts.size_bytes, url, None, None)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise _MirrorError(f"{url}: {member} cannot be unpacked: {error}") from error
    _check(target, facts, f"{url}: {member}")


def _copy(
    stream: IO[bytes],
    target: Path,
    limit_bytes: int | None,
    url: str,
    progress: DownloadProgress | None,
    total: int | None,
) -> None:
    """Write a stream to `target`; fail as soon as it exceeds the limit."""
    num_bytes = 0
    with target.open("wb") as out:
        while chunk := stream.read(CHUNK_BYTES):
            num_bytes += len(chunk)
            if limit_bytes is not None and num_bytes > limit_bytes:
                raise _MirrorError(f"{url}: longer than the {limit_bytes:,} bytes of the card")
            out.write(chunk)
            if progress is not None:
                progress(url, num_bytes, total)


def _check(path: Path, facts: FileSpec, url: str) -> None:
    reason = mismatch(path, facts)
    if reason is not None:
        raise _MirrorError(f"{url}: {reason.removeprefix(f'{path}: ')}")
