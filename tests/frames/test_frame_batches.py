"""Batches of sequences: every one once an epoch, on any number of processes, from any place."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from batch_contract import ShuffledBatchContract

from bench.core.errors import BenchError
from bench.frames.data.batches import FrameBatch, FrameBatches
from bench.frames.data.corpus import FrameSplit
from bench.frames.data.prepared import prepare_frames
from bench.frames.data.specification import SyntheticFramesSpec


def split_of(size: int) -> FrameSplit:
    spec = SyntheticFramesSpec(frame_size=10, num_train=size, num_valid=1, num_test=1)
    return prepare_frames(spec, task="toy").splits["train"]


def places(loader: FrameBatches) -> list[list[int]]:
    return [batch.place.tolist() for batch in loader]


class TestContract(ShuffledBatchContract):
    changes: ClassVar = [{"seed": 9}, {"batch_size": 4}, {"order": "given"}]

    def loader(self, **settings: Any) -> FrameBatches:
        return FrameBatches(split_of(14), **{"batch_size": 3, "seed": 5, **settings})

    def places(self, batch: FrameBatch) -> list[int]:
        return batch.place.tolist()


@pytest.mark.parametrize(
    ("size", "batch_size", "sizes"),
    [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (9, 4, [4, 4, 1])],
)
def test_every_sequence_once(size: int, batch_size: int, sizes: list[int]) -> None:
    loader = FrameBatches(split_of(size), batch_size=batch_size)
    for _ in range(2):
        found = places(loader)
        assert [len(batch) for batch in found] == sizes
        assert len(loader) == len(sizes)
        assert sorted(place for batch in found for place in batch) == list(range(size))


def test_a_batch_holds_the_frames_of_its_places() -> None:
    split = split_of(7)
    for batch in FrameBatches(split, batch_size=3, seed=2):
        np.testing.assert_array_equal(batch.frames.numpy(), split.frames(batch.place.numpy()))
        assert int(batch.num_sequences) == len(batch.frames)


def test_evaluation_keeps_the_order() -> None:
    split = split_of(12)
    fixed = FrameBatches(split, batch_size=5, order="given")
    assert places(fixed) == places(fixed) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


def test_processes_share_the_batches() -> None:
    split = split_of(13)
    whole = FrameBatches(split, batch_size=6, seed=3, world_size=2).epoch_order(0)
    parts = [FrameBatches(split, batch_size=6, seed=3, rank=r, world_size=2) for r in (0, 1)]
    assert [len(batch) for batch in whole] == [6, 7]  # one left over joins the last
    for one, other, every in zip(*map(list, parts), whole, strict=True):
        assert sorted([*one.place.tolist(), *other.place.tolist()]) == sorted(every.tolist())
        assert int(one.num_sequences) == int(other.num_sequences) == len(every)


@pytest.mark.parametrize(
    ("size", "batch_size", "word"), [(1, 4, "too few"), (5, 1, "a sequence a process")]
)
def test_too_few_for_the_processes(size: int, batch_size: int, word: str) -> None:
    with pytest.raises(BenchError, match=word):
        FrameBatches(split_of(size), batch_size=batch_size, world_size=2)
