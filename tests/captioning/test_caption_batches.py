"""Batches of captions: what is in them, how many tokens, in which order, resumed exactly."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from batch_contract import ShuffledBatchContract

from bench.captioning.data.batches import CaptionBatch, CaptionBatches, ImageBatches
from bench.captioning.data.corpus import CaptionSplit
from bench.captioning.data.store import FeatureStore
from bench.core.errors import BenchError
from bench.data.rows import Rows

NUM_IMAGES, VOCABULARY = 23, 50


def made(seed: int = 0, *, grid: bool = False) -> tuple[CaptionSplit, FeatureStore]:
    """Images with one to four captions of 1 to 12 words."""
    rng = np.random.default_rng(seed)
    captions = [
        tuple(
            tuple(map(str, rng.integers(3, VOCABULARY, rng.integers(1, 13))))
            for _ in range(rng.integers(1, 5))
        )
        for _ in range(NUM_IMAGES)
    ]
    names = tuple(f"{number}.jpg" for number in range(NUM_IMAGES))
    split = CaptionSplit(
        names=names,
        feature_row=np.arange(NUM_IMAGES)[::-1].copy(),
        captions=captions,
        rows=Rows.of([int(word) for word in tokens] for image in captions for tokens in image),
    )
    array = rng.normal(size=(NUM_IMAGES, 3, 4) if grid else (NUM_IMAGES, 4)).astype(np.float16)
    return split, FeatureStore(name="x", array=array, names=names, sha256=f"{seed}", what="y")


def batches(**settings: Any) -> CaptionBatches:
    return CaptionBatches(*made(), **{"batch_tokens": 60, "seed": 3, **settings})


class TestContract(ShuffledBatchContract):
    changes: ClassVar = [{"seed": 4}, {"batch_tokens": 50}, {"order": "sorted"}]

    def loader(self, **settings: Any) -> CaptionBatches:
        return batches(**settings)

    def places(self, batch: CaptionBatch) -> list[int]:
        return batch.place.tolist()


def places(found: list[CaptionBatch]) -> list[int]:
    return [place for batch in found for place in batch.place.tolist()]


@pytest.mark.parametrize("grid", [False, True])
def test_a_batch_holds_captions_and_their_images(grid: bool) -> None:
    split, store = made(grid=grid)
    for batch in CaptionBatches(split, store, batch_tokens=60, seed=1):
        for row, (place, image) in enumerate(
            zip(batch.place.tolist(), batch.image.tolist(), strict=True)
        ):
            ids, length = split.rows[place], int(batch.lengths[row])
            assert batch.caption[row].tolist() == [
                *ids.tolist(),
                2,
                *[0] * (batch.caption.shape[1] - length),
            ]
            assert length == len(split.captions[image][place - int(split.first[image])]) + 1
            expected = store.array[NUM_IMAGES - 1 - image].astype(np.float32)
            np.testing.assert_array_equal(batch.features[row].numpy(), expected)
        assert batch.features.dtype == torch.float32
        assert int(batch.num_captions) == len(batch.caption)
        assert int(batch.num_tokens) == int(batch.lengths.sum())


@pytest.mark.parametrize("batch_tokens", [1, 13, 60, 10**6])
def test_every_caption_once_and_no_batch_too_large(batch_tokens: int) -> None:
    loader = batches(batch_tokens=batch_tokens)
    found = list(loader)
    assert len(found) == len(loader)
    assert sorted(places(found)) == list(range(loader.split.num_captions))
    for batch in found:
        assert batch.caption.numel() <= batch_tokens or len(batch.caption) == 1


def test_sorted_batches_are_always_the_same() -> None:
    loader = batches(order="sorted")
    lengths = [int(batch.lengths.max()) for batch in loader]
    assert lengths == sorted(lengths, reverse=True)
    assert places(list(loader)) == places(list(loader))


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_each_batch(world_size: int) -> None:
    whole = list(batches(world_size=world_size))
    ranks = [list(batches(rank=rank, world_size=world_size)) for rank in range(world_size)]
    alone = batches()
    shared = batches(world_size=world_size)
    for number, order in enumerate(shared.epoch_order(0)):
        parts = [ranks[rank][number] for rank in range(world_size)]
        assert sorted(places(parts)) == sorted(order.tolist())
        assert {int(part.num_captions) for part in parts} == {len(order)}
        assert {int(part.num_tokens) for part in parts} == {
            sum(int(part.lengths.sum()) for part in parts)
        }
    assert len(whole) <= len(list(alone))


def test_other_features_are_other_batches() -> None:
    split, store = made()
    other = CaptionBatches(split, made(1)[1], batch_tokens=60, seed=3)
    with pytest.raises(BenchError, match="the saved place belongs"):
        other.load_state_dict(CaptionBatches(split, store, batch_tokens=60, seed=3).state_dict())


@pytest.mark.parametrize("batch_size", [5, 23, 100])
def test_every_image_once_and_in_order(batch_size: int) -> None:
    split, store = made()
    loader = ImageBatches(split, store, batch_size=batch_size)
    found = list(loader)
    assert len(found) == len(loader)
    images = [image for batch in found for image in batch.image.tolist()]
    assert images == list(range(NUM_IMAGES))
    shares = [list(loader.every(2, first=first)) for first in (0, 1)]
    assert [len(share) for share in shares] == [-(-len(found) // 2), len(found) // 2]
    shared = [image for share in shares for batch in share for image in batch.image.tolist()]
    assert sorted(shared) == images
    for batch in found:
        expected = store.rows(split.feature_row[batch.image.numpy()])
        np.testing.assert_array_equal(batch.features.numpy(), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_tokens": 0}, "batch_tokens must be at least 1"),
        ({"world_size": 99}, "captions are too few for 99 processes"),
    ],
)
def test_batches_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        batches(**settings)
