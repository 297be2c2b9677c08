"""Label sequences in the beams of a batch of utterances.

A prefix is a 64-bit key mixed from its parent's key and its last label; its sequence is read off
back-pointers at the end. Two prefixes of an utterance are the same where their keys are; the chance
that two others share a key is about (number of prefixes met)^2 / 2^65, below 10^-9 for a beam of
100 over a minute of speech.

Shapes: B utterances, W width of the beam, K labels, C = W + W K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.speech.decoding.hypotheses import Floats, Ints, Labels

Keys = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Number = TypeVar("Number", np.int64, np.uint64, np.float64)

DEAD, NONE, EMPTY = (np.uint64(number) for number in (0, 1, 2))
"""Keys of a place without prefix, of the empty prefix's missing parent, of the empty prefix."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Candidates that make the next beam, [B, W] each.

    `index` is the place among the candidates, `source` that in the old beam, `label` the label that
    was added, 0 for none.
    """

    index: Ints
    source: Ints
    label: Ints

    @property
    def stays(self) -> Flags:
        """True where the prefix itself goes on, rather than an extension of it."""
        return np.equal(self.label, 0)

    def of(self, values_BW: NDArray[Number]) -> NDArray[Number]:
        """Values at the sources."""
        return np.take_along_axis(values_BW, self.source, 1)

    def at(self, values_BC: NDArray[Number]) -> NDArray[Number]:
        """Values of the candidates."""
        return np.take_along_axis(values_BC, self.index, 1)


class Prefixes:
    """Beam of each utterance, and the back-pointers of its prefixes.

    A beam begins with the empty prefix in place 0 and nothing else. A step may be made by the first
    `n` utterances only: the others rest from then on.
    """

    def __init__(self, num_utterances: int, width: int) -> None:
        self.width = width
        self.key_BW: Keys = np.full((num_utterances, width), DEAD)
        self.key_BW[:, 0] = EMPTY
        self.parent_BW: Keys = np.full((num_utterances, width), NONE)
        self.last_BW: Ints = np.zeros((num_utterances, width), dtype=np.int64)
        self._history: list[Choice] = []

    def merge(self, stay_BW: Floats, extension_BWK: Floats) -> None:
        """Add to each prefix the extension of its own parent that spells it, and void that.

        Both are natural logs and changed in place.
        """
        n = len(stay_BW)
        spells_BWW = self.parent_BW[:n, :, None] == self.key_BW[:n, None, :]
        b_M, pair_M = np.divmod(np.flatnonzero(spells_BWW), self.width**2)
        place_M, parent_M = np.divmod(pair_M, self.width)
        label_M = self.last_BW[b_M, place_M] - 1
        same_M = extension_BWK[b_M, parent_M, label_M]
        stay_BW[b_M, place_M] = np.logaddexp(stay_BW[b_M, place_M], same_M)
        extension_BWK[b_M, parent_M, label_M] = -np.inf

    def choose(self, score_BC: Floats) -> Choice:
        """Keep the best of the candidates: W prefixes as they are, then K extensions of each."""
        n, W = len(score_BC), self.width
        num_labels = score_BC.shape[1] // W - 1
        index_BW = np.argpartition(score_BC, -W, axis=1)[:, -W:]
        added_BW = index_BW - W
        choice = Choice(
            index=index_BW,
            source=np.where(added_BW < 0, index_BW, added_BW // num_labels),
            label=np.where(added_BW < 0, 0, added_BW % num_labels + 1),
        )
        stays_BW, dead_BW = choice.stays, choice.at(score_BC) == -np.inf
        key_BW, parent_BW = choice.of(self.key_BW[:n]), choice.of(self.parent_BW[:n])
        longer_BW = np.where(stays_BW, key_BW, _mixed(key_BW, choice.label))
        self.key_BW[:n] = np.where(dead_BW, DEAD, longer_BW)
        self.parent_BW[:n] = np.where(dead_BW, NONE, np.where(stays_BW, parent_BW, key_BW))
        self.last_BW[:n] = np.where(stays_BW, choice.of(self.last_BW[:n]), choice.label)
        self._history.append(choice)
        return choice

    def labels(self, b: int, place: int, num_steps: int) -> Labels:
        """Sequence in a place of the beam after a number of steps."""
        found = []
        for choice in reversed(self._history[:num_steps]):
            if label := int(choice.label[b, place]):
                found.append(label)
            place = int(choice.source[b, place])
        return tuple(reversed(found))


def _mixed(key_BW: Keys, label_BW: Ints) -> Keys:
    """Key of a prefix with one more label; for each label a bijection of the keys."""
    mixed: Keys = key_BW ^ (label_BW.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(29)
    return mixed
