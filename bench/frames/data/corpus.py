"""A corpus of frames: what moves where in every sequence, drawn when it is asked for.

Thousands of sequences take gigabytes as pixels and megabytes as places.

N sequences, S things of a sequence, T frames, Y X pixels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench.frames.data.motion import INK, Ints, Pixels, Places

WORDS = 1 << 16
"""Noise is decided by sixteen bits a pixel."""
AT_ONCE = 500
"""Sequences drawn together where all of a split are looked at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameSplit:
    """The sequences of a split.

    `thing`: which of the sprites [N, S]. `place`: their upper left corners [N, S, T, 2]. `noise`:
    probability that a pixel is flipped, decided by `seed` and the sequence's number.
    """

    sprites: Pixels
    frame_size: int
    thing: Ints
    place: Places
    noise: float = 0.0
    seed: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Sequences."""
        return len(self.thing)

    def clean(self, which: Ints) -> Pixels:
        """Sequences without noise; where things overlap the brighter pixel shows [n, T, Y, X]."""
        num_frames, (height, width) = self.place.shape[2], self.sprites.shape[1:]
        frames = np.zeros((len(which), num_frames, self.frame_size, self.frame_size), np.uint8)
        for frames_TYX, number in zip(frames, which.tolist(), strict=True):
            for thing, place_T2 in zip(self.thing[number], self.place[number], strict=True):
                sprite = self.sprites[thing]
                for frame_YX, (y, x) in zip(frames_TYX, place_T2.tolist(), strict=True):
                    part = frame_YX[y : y + height, x : x + width]
                    np.maximum(part, sprite, out=part)
        return frames

    def frames(self, which: Ints) -> Pixels:
        """Sequences as they are seen [n, T, Y, X]."""
        frames = self.clean(which)
        if self.noise:
            for frames_TYX, number in zip(frames, which.tolist(), strict=True):
                frames_TYX ^= np.where(self._flipped(number, frames_TYX.shape), INK, 0).astype("u1")
        return frames

    def _flipped(self, number: int, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        stream, size = np.random.PCG64([*self.seed, number]), math.prod(shape)
        words = stream.random_raw(-(-size // 4)).astype("<u8").view("<u2")[:size]
        return (words < round(self.noise * WORDS)).reshape(shape)

    def sha256(self) -> str:
        """Checksum of everything that the frames follow from."""
        noise = f"{self.frame_size} {round(self.noise * WORDS)} {self.seed if self.noise else ''}"
        digest = hashlib.sha256(noise.encode())
        for values in (self.thing.astype("<i4"), self.place.astype("<i2"), self.sprites):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def least_cross_entropy(self, num_given: int) -> float:
        """Nats a frame of who knows what moves where and how probable noise is.

        Grey pixels cost their own entropy, so that is a bound without noise, too.
        """
        flip, total = round(self.noise * WORDS) / WORDS, 0.0
        for first in range(0, len(self), AT_ONCE):
            which = np.arange(first, min(first + AT_ONCE, len(self)))
            clean = self.clean(which)[:, num_given:]
            # Noise makes ink of nothing: the few pairs of values that there are, counted.
            pairs = clean.astype(np.int64) * 256 + self.frames(which)[:, num_given:]
            counts = np.bincount(pairs.ravel(), minlength=WORDS)
            for pair in np.flatnonzero(counts).tolist():
                ink, seen = (value / INK for value in divmod(pair, 256))
                p = ink * (1 - flip) + (1 - ink) * flip
                total += int(counts[pair]) * _nats(seen, p)
        return total / (len(self) * int(self.place.shape[2] - num_given))


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameCorpus:
    """What a predictor of frames is trained and measured on."""

    splits: Mapping[str, FrameSplit]
    num_given: int
    num_predicted: int
    checksums: Mapping[str, str]

    @property
    def frame_size(self) -> int:
        """Pixels of a side."""
        return self.splits["train"].frame_size

    @cached_property
    def bound(self) -> float:
        """Nats a frame of the test split that no predictor remains below."""
        return self.splits["test"].least_cross_entropy(self.num_given)


def _nats(seen: float, p: float) -> float:
    """Cross-entropy of what is seen, between 0 and 1, under probability p."""
    parts = ((seen, p), (1 - seen, 1 - p))
    return -sum(share * math.log(chance) for share, chance in parts if share > 0)
