"""Batches of whole utterances of like length, a bounded number of frames in each.

    sorted by length    ======== ======= ======= | ===== ===== ==== ==== | === == == == = =
    batches             frames after padding, at most `batch_frames` each
    an epoch            the same batches in an order of its own, drawn from seed and epoch

A batch is made over all ranks together and dealt out, utterance by utterance, so the same setting
means the same training on any number of ranks, and no rank waits for another at the end.

Shapes: B utterances, T frames, D features, U labels.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.core.errors import BenchError
from bench.data.batching import ResumableBatches, State, batch_edges
from bench.data.random import uniform
from bench.speech.data.corpus import BLANK
from bench.speech.data.prepared import FeatureSplit

Ids = npt.NDArray[np.int64]


class SpeechBatch(NamedTuple):
    """Padded utterances, the longest first; padding is zero, in the labels the blank."""

    features: Tensor
    """x_BTD, float32."""
    num_frames: Tensor
    """[B]"""
    labels: Tensor
    """Numbers from 1 [B, U], int64."""
    num_labels: Tensor
    """[B]"""
    utterances: Tensor
    """Place of each utterance in the split [B]."""
    num_utterances: Tensor
    """Utterances of the batch over all ranks [], for means that do not depend on their number."""


class SpeechBatches(ResumableBatches[SpeechBatch]):
    """Loader of `SpeechBatch` whose place can be saved and restored exactly.

    `batch_frames`: frames of a batch over all ranks, padding included; a longer utterance has a
    batch to itself, and a batch has at least an utterance a rank. `order`: batches `shuffled` anew
    in each epoch, or always `sorted`.
    """

    def __init__(
        self,
        split: FeatureSplit,
        *,
        batch_frames: int,
        seed: int = 0,
        order: Literal["shuffled", "sorted"] = "shuffled",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        if batch_frames < 1:
            raise BenchError("batch_frames must be at least 1")
        if len(split) < world_size:
            raise BenchError(
                f"{len(split)} utterances are too few for {world_size} processes: use fewer"
            )
        self.split, self.batch_frames = split, batch_frames
        self.seed, self.order = seed, order
        self.rank, self.world_size = rank, world_size
        self.batches = make_batches(split.num_frames, batch_frames, at_least=world_size)
        self._utterances = hashlib.sha256(
            " ".join(utterance.id for utterance in split.utterances).encode()
        ).hexdigest()

    def __len__(self) -> int:
        return len(self.batches)

    def epoch_order(self, epoch: int) -> Ids:
        """Numbers of the batches in the order of an epoch."""
        if self.order == "sorted":
            return np.arange(len(self))
        drawn = uniform(np.random.PCG64([self.seed, epoch]), len(self))
        return np.argsort(drawn, kind="stable")

    def batch(self, number: int) -> SpeechBatch:
        """Part of a batch for this rank."""
        whole = self.batches[number]
        mine = whole[self.rank :: self.world_size]
        lengths = self.split.num_frames[mine]
        labels = [self.split.labels[place] for place in mine]
        x_BTD = np.zeros((len(mine), lengths.max(), self.split.frames.shape[1]), np.float32)
        labels_BU = np.full((len(mine), max(map(len, labels))), BLANK, np.int64)
        for row, place in enumerate(mine):
            x_BTD[row, : lengths[row]] = self.split.features(place)
            labels_BU[row, : len(labels[row])] = labels[row]
        return SpeechBatch(
            features=torch.from_numpy(x_BTD),
            num_frames=torch.from_numpy(lengths),
            labels=torch.from_numpy(labels_BU),
            num_labels=torch.tensor([len(row) for row in labels]),
            utterances=torch.from_numpy(mine.copy()),
            num_utterances=torch.tensor(len(whole)),
        )

    def sizes(self, of: int) -> tuple[int, ...]:
        """Frames, and pairs of frames and labels."""
        mine = self.batches[of][self.rank :: self.world_size]
        num_frames = len(mine) * int(self.split.num_frames[mine].max())
        return num_frames, num_frames * (1 + max(len(self.split.labels[place]) for place in mine))

    def _identity(self) -> State:
        return {
            "utterances": self._utterances[:16],
            "num_batches": len(self),
            "batch_frames": self.batch_frames,
            "seed": self.seed,
            "order": self.order,
        }


def make_batches(num_frames: Ids, batch_frames: int, *, at_least: int = 1) -> list[Ids]:
    """Utterances by falling length (ties: by place), cut where padded frames pass `batch_frames`.

    Each batch has `at_least` utterances; a last one with fewer joins the one before.
    """
    order = np.argsort(-num_frames, kind="stable")
    edges = batch_edges(num_frames[order], batch_frames, at_least=at_least)
    return [order[first:end] for first, end in itertools.pairwise(edges)]
