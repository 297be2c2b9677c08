"""The feature cache: made once, whole or not at all, anew when it is damaged."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from speech_trees import TINY, phn, prepare, sphere, tiny_timit, variant

from bench.core.errors import BenchError
from bench.speech.data import features as extraction
from bench.speech.data.prepared import SpeechData, prepare_speech
from bench.speech.data.specification import FeatureRecipe, SyntheticSpeechSpec
from bench.speech.data.store import FEATURES, INDEX

SPOKEN = SyntheticSpeechSpec(
    num_speakers={"train": 3, "valid": 1, "test": 1},
    utterances_per_speaker=5,
    num_phones_min=3,
    num_phones_max=6,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tiny_timit(tmp_path / "tiny")


def folders(tree: Path) -> list[Path]:
    return sorted(p for p in (tree.parent / "cache/features").iterdir() if p.is_dir())


class Watch:
    """Counts the utterances that are transformed."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self, done: int, total: int) -> None:
        self.done += 1


def num_made(tree: Path, **settings: Any) -> int:
    watch = Watch()
    prepare(tree, progress=watch, **settings)
    return watch.done


def same(one: SpeechData, other: SpeechData) -> bool:
    return all(
        (one.splits[split].features(i) == other.splits[split].features(i)).all()
        for split in one.splits
        for i in range(len(one.splits[split]))
    )


def test_features_are_made_once(tree: Path) -> None:
    assert num_made(tree) == 8
    assert num_made(tree) == 0
    assert len(folders(tree)) == 1
    assert sorted(p.name for p in folders(tree)[0].iterdir()) == [FEATURES, INDEX]


def test_features_are_mapped_and_cannot_be_written(tree: Path) -> None:
    split = prepare(tree).splits["train"]
    assert isinstance(split.frames, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        split.features(0)[0, 0] = 1


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "TRAIN/DR1/FABC0/SX1.WAV").write_bytes(
            sphere(np.arange(8000).astype(np.int16))
        ),
        lambda tree: (tree / "TRAIN/DR1/FABC0/SX1.PHN").write_text(phn(["aa", "b"])),
    ],
)
def test_other_data_are_other_features(tree: Path, change: Callable[[Path], object]) -> None:
    num_made(tree)
    change(tree)
    assert num_made(tree) == 8
    assert len(folders(tree)) == 2


@pytest.mark.parametrize(
    "changes", [{"num_mel_bands": 23}, {"normalisation": "none"}, {"low_hz": 0.0}]
)
def test_another_recipe_makes_other_features(tree: Path, changes: dict[str, object]) -> None:
    num_made(tree)
    spec = variant(features=msgspec.structs.replace(FeatureRecipe(), **changes))
    assert num_made(tree, spec=spec) == 8
    assert num_made(tree) == 0


@pytest.mark.parametrize("changes", [{"clipped_share_max": 0.5}, {"raw_byte_order": "little"}])
def test_another_way_of_reading_makes_other_features(tree: Path, changes: dict[str, Any]) -> None:
    num_made(tree)
    assert num_made(tree, spec=variant(**changes)) == 8


def test_a_moved_corpus_is_the_same(tree: Path) -> None:
    (tree / "TRAIN/DR1/FABC0/SX1.WAV").write_bytes(b"")
    num_made(tree, on_bad="skip")
    moved = tree.rename(tree.parent / "elsewhere")
    assert num_made(moved, on_bad="skip") == 0
    with pytest.raises(BenchError, match=f"empty: {moved}/TRAIN/DR1/FABC0/SX1.WAV: 0 bytes"):
        prepare(moved)


def shorten(folder: Path) -> None:
    content = (folder / FEATURES).read_bytes()
    (folder / FEATURES).write_bytes(content[:-4])


def flip(folder: Path) -> None:
    content = bytearray((folder / FEATURES).read_bytes())
    content[1000] ^= 1
    (folder / FEATURES).write_bytes(content)


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        shorten,
        flip,
        lambda folder: (folder / INDEX).write_text("{"),
        lambda folder: (folder / INDEX).write_text('{"mean": []}'),
        lambda folder: (folder / INDEX).unlink(),
        lambda folder: (folder / FEATURES).unlink(),
        empty,
    ],
)
def test_damaged_features_are_made_anew(tree: Path, damage: Callable[[Path], object]) -> None:
    expected = prepare(tree)
    kept = [part.frames.copy() for part in expected.splits.values()]
    damage(folders(tree)[0])
    assert num_made(tree) == 8
    for frames, part in zip(kept, prepare(tree).splits.values(), strict=True):
        assert (frames == part.frames).all()
    assert num_made(tree) == 0


def test_an_interrupted_making_leaves_nothing(tree: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == total // 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        prepare(tree, progress=stop)
    assert folders(tree) == []
    assert num_made(tree) == 8
    # What a killed process could not sweep up, the next that makes the same features does.
    (made,) = folders(tree)
    (stale := made.with_name(f".{made.name}-old")).mkdir()
    shorten(made)
    assert num_made(tree) == 8
    assert not stale.exists()


def test_threads_and_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = prepare_speech(SPOKEN, task="s", cache=tmp_path / "a", num_workers=1)
    monkeypatch.setattr(extraction, "BLOCK", 4)
    other = prepare_speech(SPOKEN, task="s", cache=tmp_path / "b", num_workers=3)
    assert same(one, other)
    assert one.checksums == other.checksums


def make(cache: Path, barrier: object, made: object) -> None:
    watch = Watch()
    barrier.wait()  # type: ignore[attr-defined]
    data = prepare_speech(SPOKEN, task="s", cache=cache, num_workers=1, progress=watch)
    made.put((watch.done, float(data.splits["test"].frames.sum())))  # type: ignore[attr-defined]


def test_two_processes_at_once_make_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, made = context.Barrier(2), context.Queue()
    workers = [context.Process(target=make, args=(tmp_path, barrier, made)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [made.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(done for done, _ in found) == [0, 25]
    assert found[0][1] == found[1][1]


def test_a_cache_that_cannot_be_written(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"cannot write features to .*set BENCH_CACHE"):
        prepare_speech(TINY, task="tiny", path=tree, cache=tmp_path / "file")
