"""Batches of captions with the features of their images, and batches of images.

    sorted by length            ======== ======= | ====== ===== ===== | === === == ==
    batches                     caption tokens after padding, at most `batch_tokens`
    an epoch                    captions of equal length shuffled, batches in an order of their own

A batch is made over all ranks together and dealt out, caption by caption: the same setting means
the same training on any number of them.

Shapes: B captions or images, T tokens, D features of an image or of one of its R regions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.captioning.data.corpus import CaptionSplit
from bench.captioning.data.store import FeatureStore
from bench.core.errors import BenchError
from bench.data.batching import State, TokenBatches
from bench.data.tokens import END

Ids = npt.NDArray[np.int64]


class CaptionBatch(NamedTuple):
    """Padded captions with their images; each row ends in `</s>`, padding is zero."""

    features: Tensor
    """Features of each caption's image, float32 [B, D] or [B, R, D]."""
    caption: Tensor
    """Ids [B, T], int64."""
    lengths: Tensor
    """Tokens with the end [B]."""
    image: Tensor
    """Place of each image in the split [B]."""
    place: Tensor
    """Place of each caption among all of the split [B]."""
    num_captions: Tensor
    """Captions of the batch over all ranks, for means that do not depend on their number []."""
    num_tokens: Tensor
    """Tokens of the batch over all ranks, ends included []."""


class CaptionBatches(TokenBatches[CaptionBatch]):
    """Loader of `CaptionBatch`; its place can be saved and restored exactly.

    `batch_tokens`: tokens of a batch over all ranks, padding included; a longer caption has a batch
    to itself, and a batch has at least a caption a rank. `order`: `shuffled` anew in each epoch, or
    always `sorted`.
    """

    def __init__(
        self,
        split: CaptionSplit,
        store: FeatureStore,
        *,
        batch_tokens: int,
        seed: int = 0,
        order: Literal["shuffled", "sorted"] = "shuffled",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if split.num_captions < world_size:
            raise BenchError(
                f"{split.num_captions:,} captions are too few for {world_size} processes: use fewer"
            )
        super().__init__(
            split.rows.length_N + 1,
            np.arange(split.num_captions),
            batch_tokens=batch_tokens,
            seed=seed,
            order=order,
            rank=rank,
            world_size=world_size,
        )
        self.split, self.store = split, store
        self._captions = _checksum(split, store)

    def batch(self, of: Ids) -> CaptionBatch:
        mine = self._mine(of)
        image_B = self.split.image_of[mine]
        caption_BT, lengths_B = self.split.rows.padded(mine, end=END)
        num_tokens = int(self.split.rows.length_N[of].sum()) + len(of)
        return CaptionBatch(
            features=torch.from_numpy(self.store.rows(self.split.feature_row[image_B])),
            caption=torch.from_numpy(caption_BT),
            lengths=torch.from_numpy(lengths_B),
            image=torch.from_numpy(image_B),
            place=torch.from_numpy(mine.copy()),
            num_captions=torch.tensor(len(of)),
            num_tokens=torch.tensor(num_tokens),
        )

    def sizes(self, of: Ids) -> tuple[int, ...]:
        """Tokens, images."""
        mine = self._mine(of)
        return len(mine) * (int(self.split.rows.length_N[mine].max()) + 1), len(mine)

    def _identity(self) -> State:
        # Checkpoints of older versions have a `longest`.
        return {**super()._identity(), "captions": self._captions, "longest": None}


def _checksum(split: CaptionSplit, store: FeatureStore) -> str:
    digest = hashlib.sha256(store.sha256.encode())
    for values in (split.rows.length_N, split.image_of, split.feature_row):
        digest.update(np.ascontiguousarray(values, "<i8").tobytes())
    digest.update(np.ascontiguousarray(split.rows.flat, "<i4").tobytes())
    return digest.hexdigest()[:16]


class ImageBatch(NamedTuple):
    """Images to be described."""

    features: Tensor
    """Float32 [B, D] or [B, R, D]."""
    image: Tensor
    """Place of each in the split [B]."""


class ImageBatches:
    """Loader of each image of a split once, in order, `batch_size` of them at a time."""

    def __init__(self, split: CaptionSplit, store: FeatureStore, *, batch_size: int) -> None:
        self.split, self.store, self.batch_size = split, store, batch_size

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __iter__(self) -> Iterator[ImageBatch]:
        return self.every(1)

    def every(self, step: int, *, first: int = 0) -> Iterator[ImageBatch]:
        """Batches `first`, `first + step` and so on."""
        return map(self.batch, range(first, len(self), step))

    def batch(self, number: int) -> ImageBatch:
        """The batch of that number."""
        first = number * self.batch_size
        image_B = np.arange(first, min(first + self.batch_size, len(self.split)))
        features = self.store.rows(self.split.feature_row[image_B])
        return ImageBatch(features=torch.from_numpy(features), image=torch.from_numpy(image_B))

    def largest(self) -> list[ImageBatch]:
        """The first batch: none has more images."""
        return [self.batch(0)]
