"""Cache of features: one memory-mapped file a corpus and recipe, made once.

    <cache>/features/<key>/features.f32    [N, D] little-endian float32, utterance after utterance
    <cache>/features/<key>/index.json      lengths, problems, mean and deviation, checksums

The key is the checksum of the recipe, the phones and the recordings. A folder is made under another
name and renamed when it is complete; of several processes one makes it and the others wait; a
damaged one is made anew.

Shapes: N frames of all utterances, T frames of one, D features.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from filelock import FileLock

from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.data.files import num_cores
from bench.data.problems import Progress
from bench.speech.data.corpus import Problem, SpeechCorpus, digest_of_lines
from bench.speech.data.features import Wide, write_features

FORMAT = 1
"""Version of the features, raised when a recipe gives other numbers: old files are not read."""
INDEX, FEATURES = "index.json", "features.f32"
ROWS = 1 << 16
Features = npt.NDArray[np.float32]


class Index(Frozen, frozen=True, kw_only=True):
    """Contents of the file of features, in the order of the corpus's splits."""

    utterances: list[str]
    num_samples: list[int]
    num_frames: list[int]
    """Zero for an utterance that cannot be used."""
    problems: list[Problem]
    """Problems without names of files, since a corpus may be moved."""
    mean: list[float]
    deviation: list[float]
    num_features: int
    crc32: int
    samples_sha256: str


def open_features(
    corpus: SpeechCorpus, cache: Path, *, num_workers: int = 0, progress: Progress | None = None
) -> tuple[Index, Features]:
    """Features of a corpus [N, D], read-only and memory-mapped; made where the cache lacks them.

    `num_workers`: threads, all cores where zero. Raises BenchError where the cache cannot be
    written.
    """
    num_workers = num_workers or num_cores()
    key = cache_key(corpus, num_workers=num_workers)
    folder = cache / "features" / key
    if (found := _read(folder)) is not None:
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if (found := _read(folder)) is None:
                _make(corpus, folder, num_workers, progress)
                found = _read(folder)
    except OSError as error:
        raise BenchError(f"cannot write features to {folder}: {error}; set BENCH_CACHE") from error
    assert found is not None
    return found


def cache_key(corpus: SpeechCorpus, *, num_workers: int = 1) -> str:
    """Checksum of recipe, splits, phones and recordings."""
    every = [u for utterances in corpus.splits.values() for u in utterances]
    recipe = msgspec.json.encode(corpus.recipe, order="deterministic").decode()
    order = hashlib.sha256(" ".join(u.id for u in every).encode()).hexdigest()
    recordings = recordings_sha256(corpus, num_workers=num_workers)
    whole = f"{FORMAT} {recipe} {order} {corpus.labels_sha256()} {recordings}"
    return hashlib.sha256(whole.encode()).hexdigest()[:24]


def recordings_sha256(corpus: SpeechCorpus, *, num_workers: int = 0) -> str:
    """Checksum of the files of all recordings, and of how they are read."""
    every = [u for utterances in corpus.splits.values() for u in utterances]
    with ThreadPoolExecutor(num_workers or num_cores()) as pool:
        prints = list(pool.map(corpus.recordings.fingerprint, every))
    return digest_of_lines(f"{u.id} {mark}" for u, mark in zip(every, prints, strict=True))


def _read(folder: Path) -> tuple[Index, Features] | None:
    """Features in `folder`; None where there are none, or other bytes than were written."""
    try:
        index = msgspec.json.decode((folder / INDEX).read_bytes(), type=Index)
        size = (folder / FEATURES).stat().st_size
    except (OSError, msgspec.MsgspecError):
        return None
    shape = (sum(index.num_frames), index.num_features)
    if size != 4 * shape[0] * shape[1]:
        return None
    if not shape[0]:
        return index, np.zeros(shape, np.float32)
    features_ND = np.memmap(folder / FEATURES, "<f4", mode="r", shape=shape)
    return (index, features_ND) if _crc32(features_ND) == index.crc32 else None


def _crc32(features_ND: Features) -> int:
    crc = 0
    for first in range(0, len(features_ND), ROWS):
        crc = zlib.crc32(features_ND[first : first + ROWS].tobytes(), crc)
    return crc


def _make(corpus: SpeechCorpus, folder: Path, num_workers: int, progress: Progress | None) -> None:
    for stale in folder.parent.glob(f".{folder.name}-*"):  # left by a process that was killed
        shutil.rmtree(stale, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        with (scratch / FEATURES).open("wb") as stream:
            facts, mean, deviation = write_features(
                corpus, stream, num_workers=num_workers, progress=progress
            )
        if corpus.recipe.normalisation == "none":
            mean, deviation = np.zeros_like(mean), np.ones_like(deviation)
        every = [u.id for utterances in corpus.splits.values() for u in utterances]
        index = Index(
            utterances=every,
            num_samples=[found.num_samples for found in facts],
            num_frames=[found.num_frames for found in facts],
            problems=[found.problem for found in facts if found.problem is not None],
            mean=mean.tolist(),
            deviation=deviation.tolist(),
            num_features=corpus.recipe.num_features,
            crc32=_normalise(scratch / FEATURES, mean, deviation),
            samples_sha256=digest_of_lines(
                f"{name} {found.sha256}" for name, found in zip(every, facts, strict=True)
            ),
        )
        (scratch / INDEX).write_bytes(msgspec.json.encode(index))
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _normalise(path: Path, mean_D: Wide, deviation_D: Wide) -> int:
    """Shift and scale in place; the checksum of the result."""
    if not path.stat().st_size:
        return 0
    shape = (path.stat().st_size // (4 * len(mean_D)), len(mean_D))
    features_ND = np.memmap(path, "<f4", mode="r+", shape=shape)
    for first in range(0, len(features_ND), ROWS):
        rows = features_ND[first : first + ROWS]
        rows[:] = (rows - mean_D) / deviation_D
    features_ND.flush()
    return _crc32(features_ND)
