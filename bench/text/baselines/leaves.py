"""Events that a decision tree sorts, and the smoothed counts of its leaves.

Shapes: N events, J nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bench.text.baselines.baseline import Floats, Ints
from bench.text.baselines.counts import Keys, find, narrow, rank, sum_by

Bools = NDArray[np.bool_]

# D of a word seen once, twice, and three times or more in a leaf. Higher than a trigram's, since
# leaves are chosen to make their own counts likely; set on Penn Treebank's validation text with
# trees that were pruned on a fifth of the training lines, lest pruning hide what discounts do.
DISCOUNTS = np.array([0.0, 0.9, 1.4, 1.8])
# Share of the leaf in p where a history reached it by a guess (tree.py).
GUESS_WEIGHT = 0.4


@dataclass(frozen=True, kw_only=True)
class Events:
    """Histories (`older`, `newer`: the words two back and one back), next word and count, [N].

    `lower` is the lower order's probability of the word; training events have no use for it.
    """

    older: Ints
    newer: Ints
    word: Ints
    count: Ints
    lower: Floats

    def take(self, kept: Ints) -> Events:
        """The events at these places."""
        return Events(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Leaves:
    """Discounted relative frequencies `own` of (node, next word), and per node the mass `freed`."""

    key: Keys
    own: NDArray[np.float32]
    freed: Floats
    base: int

    @classmethod
    def count(cls, node: Ints, events: Events, *, num_nodes: int, base: int) -> Leaves:
        """max(C(w) - D, 0) / C and what that leaves over, for the nodes of training events [N]."""
        key, place = rank(node * base + events.word)
        count = sum_by(place, events.count, len(key)).astype(np.int64)
        kept = count - DISCOUNTS[np.minimum(count, 3)]
        total_J = np.maximum(sum_by(key // base, count, num_nodes), 1)
        own = kept / total_J[key // base]
        freed = 1 - sum_by(key // base, own, num_nodes)
        return cls(key=narrow(key), own=own.astype(np.float32), freed=freed, base=base)

    def probability(self, node: Ints, guessed: Bools, events: Events) -> Floats:
        """p of the events' words: the node's, interpolated with the lower order, [N]."""
        gram = find(self.key, node * self.base + events.word)
        p = np.where(gram >= 0, self.own[gram], 0.0) + self.freed[node] * events.lower
        weight = np.where(guessed, GUESS_WEIGHT, 1.0)
        mixed: Floats = weight * p + (1 - weight) * events.lower
        return mixed
