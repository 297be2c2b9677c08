"""Corpora of frames: the paths of sprites in every sequence, drawn when frames are used.

Thousands of sequences take gigabytes as pixels and megabytes as paths.

Shapes: N sequences, n of them, S sprites of a sequence, T frames, Y X pixels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench.frames.data.motion import INK, Corners, Ints, Pixels

WORDS = 1 << 16
"""Numbers of sixteen bits, one of which decides on the noise of a pixel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameSplit:
    """Sequences of a split."""

    sprites: Pixels
    """All sprites [I, Y, X]."""
    frame_size: int
    sprite: Ints
    """Indices of the sprites of each sequence [N, S]."""
    corner: Corners
    """Their upper left corners [N, S, T, 2]."""
    noise: float = 0.0
    """Probability that a pixel is flipped."""
    seed: tuple[int, ...] = ()
    """Seed of the noise, together with the index of a sequence."""

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.sprite)

    def chunks(self, size: int = 500) -> Iterator[Ints]:
        """Indices of all sequences, `size` at a time."""
        for first in range(0, len(self), size):
            yield np.arange(first, min(first + size, len(self)))

    def clean(self, which: Ints) -> Pixels:
        """Sequences without noise [n, T, Y, X]; where sprites overlap the brighter pixel shows."""
        num_frames, (height, width) = self.corner.shape[2], self.sprites.shape[1:]
        frames = np.zeros((len(which), num_frames, self.frame_size, self.frame_size), np.uint8)
        for frames_TYX, n in zip(frames, which.tolist(), strict=True):
            for sprite, corner_T2 in zip(self.sprite[n], self.corner[n], strict=True):
                for frame_YX, (y, x) in zip(frames_TYX, corner_T2.tolist(), strict=True):
                    part = frame_YX[y : y + height, x : x + width]
                    np.maximum(part, self.sprites[sprite], out=part)
        return frames

    def frames(self, which: Ints) -> Pixels:
        """Sequences with their noise [n, T, Y, X]."""
        frames = self.clean(which)
        if self.noise:
            for frames_TYX, n in zip(frames, which.tolist(), strict=True):
                frames_TYX ^= np.where(self._flipped(n, frames_TYX.shape), INK, 0).astype("u1")
        return frames

    def _flipped(self, n: int, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        stream, size = np.random.PCG64([*self.seed, n]), math.prod(shape)
        words = stream.random_raw(-(-size // 4)).astype("<u8").view("<u2")[:size]
        return (words < round(self.noise * WORDS)).reshape(shape)

    def sha256(self) -> str:
        """Checksum of everything that determines the frames."""
        noise = f"{self.frame_size} {round(self.noise * WORDS)} {self.seed if self.noise else ''}"
        digest = hashlib.sha256(noise.encode())
        for values in (self.sprite.astype("<i4"), self.corner.astype("<i2"), self.sprites):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def least_cross_entropy(self, num_given: int) -> float:
        """Cross-entropy of a frame in nats where paths and the probability of noise are known.

        Grey pixels cost their own entropy, so it is a bound without noise, too.
        """
        flip, total = round(self.noise * WORDS) / WORDS, 0.0
        for which in self.chunks():
            clean = self.clean(which)[:, num_given:]
            # There are few pairs of a pixel's values without and with noise.
            pairs = clean.astype(np.int64) * 256 + self.frames(which)[:, num_given:]
            counts = np.bincount(pairs.ravel(), minlength=WORDS)
            for pair in np.flatnonzero(counts).tolist():
                ink, seen = (value / INK for value in divmod(pair, 256))
                p = ink * (1 - flip) + (1 - ink) * flip
                total += int(counts[pair]) * _nats(seen, p)
        return total / (len(self) * int(self.corner.shape[2] - num_given))


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameCorpus:
    """Sequences by split, and how many of their frames are given and predicted."""

    splits: Mapping[str, FrameSplit]
    num_given: int
    num_predicted: int
    checksums: Mapping[str, str]

    @property
    def frame_size(self) -> int:
        """Pixels of a side."""
        return self.splits["train"].frame_size

    @property
    def num_frames(self) -> int:
        """Frames of a sequence."""
        return self.num_given + self.num_predicted

    @cached_property
    def bound(self) -> float:
        """Cross-entropy of a frame of the test split that no predictor can be expected to reach."""
        return self.splits["test"].least_cross_entropy(self.num_given)


def _nats(seen: float, p: float) -> float:
    """Cross-entropy of a pixel between 0 and 1 under probability p of ink."""
    parts = ((seen, p), (1 - seen, 1 - p))
    return -sum(share * math.log(chance) for share, chance in parts if share > 0)
