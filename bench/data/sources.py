r"""Search for the files of a corpus: a named folder, or $BENCH_DATA, then the cache, or a download.

locate -> folder -> load_text, which checks every byte that it reads
   \-> download, only with `download: missing`
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

from bench.core.aligned import aligned
from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.splits import SPLITS
from bench.data.files import CorpusFiles, FileSpec, mismatch

SPLIT_WORDS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}
COMPRESSED = frozenset((".bz2", ".xz", ".lzma", ".zst", ".zip", ".7z", ".Z"))
"""Endings of compressed files that are not read, as .gz is."""
FoundT = TypeVar("FoundT")
Download = Literal["never", "missing"]
DownloadProgress = Callable[[str, int, int | None], None]  # (address, bytes so far, bytes in all)


@dataclass(frozen=True, kw_only=True)
class FileStatus:
    """State of one of the card's files; `reason` says why it is not verified."""

    name: str
    path: Path
    state: Literal["verified", "unverified", "altered", "missing"]
    reason: str = ""


def cache_folder() -> Path:
    """$BENCH_CACHE, or the operating system's folder for this user's caches."""
    import platformdirs

    chosen = os.environ.get("BENCH_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("sequence-bench")


def candidates(spec: CorpusFiles, path: Path | None = None) -> list[Path]:
    """Folders to search, in order: the user's `path` alone, or $BENCH_DATA/<folder>, the cache."""
    if path is not None:
        return [path]
    if spec.folder is None:
        return []
    data = os.environ.get("BENCH_DATA")
    return [*([Path(data) / spec.folder] if data else []), cache_folder() / spec.folder]


def own_folder(task: str, data: DataConfig) -> Path | None:
    """Folder that `--data.path` names, `~` expanded; None where it is not given.

    Raises BenchError for the path of a file.
    """
    if data.path is None:
        return None
    path = Path(data.path).expanduser()
    if path.exists() and not path.is_dir():
        raise BenchError(
            f"{task}: --data.path {data.path} is a file: name the folder that it is in"
        )
    return path


def locate(
    spec: CorpusFiles,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
    download: Download = "never",
    progress: DownloadProgress | None = None,
    needed: Collection[str] | None = None,
    obtain: str | None = None,
) -> Path:
    """Find the first folder with every file of the corpus, or with the `needed` ones, by name.

    With `download="missing"` the cache is completed, each file checked before it gets its name.
    Raises BenchError that names the missing files, their checksums, where to put and `obtain`
    them, and the `twin` task that needs no file.
    """
    if not spec.files and path is None:
        raise BenchError(
            f"{task} reads your own text: name its folder with --data.path DIR "
            "(`bench data`: --path DIR), which holds one file each for train, valid and test"
        )
    if not spec.files and path is not None and not path.is_dir():
        raise BenchError(f"{task}: {path} is no folder: name the one that holds your text")
    folders = candidates(spec, path)
    files = [file for name, file in spec.files.items() if needed is None or name in needed]
    for folder in folders:
        if folder.is_dir() and all((folder / file.path).is_file() for file in files):
            return folder
    if download == "missing" and path is None:
        from bench.data.download import fetch  # the network's modules are slow to import

        fetch(spec, folders[-1], task=task, progress=progress)
        return folders[-1]
    message = _missing_message(spec, files, folders, task=task, twin=twin, obtain=obtain)
    raise BenchError(message)


def corpus_files(spec: CorpusFiles, folder: Path) -> dict[str, Path]:
    """Paths in `folder` by the card's names; without a list, one file a split.

    Raises BenchError for a split without a file, or with several candidates.
    """
    if not spec.files:
        return {split: _file_of(split, folder) for split in SPLITS}
    files = {name: folder / file.path for name, file in spec.files.items()}
    for name, file in files.items():
        if not file.is_file():
            raise BenchError(f"{file} is missing: the corpus needs it as {name!r}")
    return files


def status(spec: CorpusFiles, path: Path | None = None) -> list[FileStatus]:
    """State of each of the card's files in each folder that is searched."""
    return [
        _status(name, folder / file.path, spec)
        for folder in candidates(spec, path)
        for name, file in spec.files.items()
    ]


def print_status(card: Card, data: DataConfig) -> None:
    """Print the state of each of the card's files in each folder that is searched."""
    if not hasattr(card.corpus, "files"):
        print(f"{card.task} is generated and needs no file")
        return
    found = status(cast(CorpusFiles, card.corpus), own_folder(card.task, data))
    rows = [(each.name, str(each.path), each.state, each.reason) for each in found]
    if rows:
        print(aligned(("file", "path", "state", "why"), rows))


def _status(name: str, path: Path, spec: CorpusFiles) -> FileStatus:
    if not path.is_file():
        return FileStatus(name=name, path=path, state="missing")
    if (reason := mismatch(path, spec.files[name])) is not None:
        return FileStatus(name=name, path=path, state="altered", reason=reason)
    if spec.files[name].digest() is None:
        reason = "the card holds no checksum of it"
        return FileStatus(name=name, path=path, state="unverified", reason=reason)
    return FileStatus(name=name, path=path, state="verified")


def _file_of(split: str, folder: Path) -> Path:
    """Find the one file that has `split` in its name, cut at dots, dashes and underscores."""
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and not path.name.startswith(".")
        and set(re.split(r"[._-]", path.name.lower())) & set(SPLIT_WORDS[split])
    ]
    if len(found) == 1:
        if found[0].suffix in COMPRESSED:
            raise BenchError(f"{found[0]} is compressed: unpack it, or compress it with gzip")
        return found[0]
    if not found:
        raise BenchError(f"{folder} holds no {split} text: put it there as {split}.txt")
    names = ", ".join(path.name for path in found)
    raise BenchError(f"{folder} holds several {split} texts ({names}): leave only one of them")


def _missing_message(
    spec: CorpusFiles,
    files: list[FileSpec],
    folders: list[Path],
    *,
    task: str,
    twin: str | None,
    obtain: str | None,
) -> str:
    missing = [
        f"{file.path} ({' '.join(file.digest() or ('no', 'checksum known'))})"
        for file in files
        if not any((folder / file.path).is_file() for folder in folders)
    ]
    missing = missing or ["no single folder holds all of them"]
    places = " or ".join(str(folder) for folder in folders)
    hints = [f"put them in {places}"]
    if obtain is not None:
        hints[0] = f"get them from {obtain} and {hints[0]}"
    if spec.folder is not None and "BENCH_DATA" not in os.environ:
        hints.append(f"set BENCH_DATA to the folder that holds {spec.folder}/")
    if spec.mirrors:
        hints.append(f"fetch them with `bench data {task} --fetch` (or --data.download missing)")
    if twin is not None:
        hints.append(f"run `--task {twin}`, its twin that needs no file")
    return f"{task}: missing files: {', '.join(missing)}; " + "; or ".join(hints)


def cached_folder(
    folder: Path, *, read: Callable[[], FoundT | None], write: Callable[[Path], None]
) -> FoundT:
    """Contents of a folder of the cache by `read`; where it finds none, `write` makes the folder.

    The folder is written under another name and renamed when it is whole; of several processes one
    writes it and the others wait; a damaged one is written anew. Raises BenchError when the cache
    cannot be written.
    """
    if (found := read()) is not None:
        return found
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if (found := read()) is None:
                _write_folder(folder, write)
                found = read()
    except OSError as error:
        raise BenchError(f"cannot write features to {folder}: {error}; set BENCH_CACHE") from error
    assert found is not None
    return found


def _write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    for left in folder.parent.glob(f".{folder.name}-*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        write(scratch)
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
