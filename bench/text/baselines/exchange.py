"""The exchange algorithm: words divided in two so that their next words become most likely.

Shapes: N events, P distinct (element, next word) pairs, W distinct (node, next word) pairs,
E elements, J nodes. An element is a pair of a node and a word that the node's histories hold.

With c the counts of next words on one side of a node and f(x) = x log x, the log-likelihood of
the training text is  sum_w f(c(w)) - f(sum_w c(w)),  summed over both sides. The two sides start
at random, and an element changes sides where that alone raises the sum. All elements of all nodes
are weighed at once; a random half of those that gain move in each round, since neighbours that
moved together could swap for ever.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.text.baselines.baseline import Floats, Ints
from bench.text.baselines.counts import rank, sum_by

Bools = NDArray[np.bool_]

NUM_ROUNDS = 8
_NOTHING = 1e-9


class Exchange:
    """The counts that decide where the elements of a level's nodes go."""

    def __init__(
        self, element_N: Ints, word_N: Ints, count_N: Ints, *, node_E: Ints, base: int
    ) -> None:
        key_P, pair_N = rank(element_N * base + word_N)
        self.node_E = node_E
        self.num_nodes = int(node_E.max()) + 1
        self.element_P = key_P // base
        self.count_P = count(pair_N, count_N, len(key_P))
        key_W, self.next_P = rank(node_E[self.element_P] * base + key_P % base)
        self.node_W = key_W // base
        self.all_W = count(self.next_P, self.count_P, len(key_W))
        self.all_E = count(self.element_P, self.count_P, len(node_E))
        self.all_J = count(node_E, self.all_E, self.num_nodes)
        self.f = np.arange(int(self.all_J.max()) + 1, dtype=np.float64)
        self.f[1:] *= np.log(self.f[1:])

    def divide(self, rng: np.random.Generator) -> Bools:
        """Whether each element goes right, [E]."""
        right_E = rng.random(len(self.node_E)) < 0.5
        for _ in range(NUM_ROUNDS):
            gains = self.gain_of_moves(right_E) > _NOTHING
            right_E ^= gains & (rng.random(len(right_E)) < 0.5)
        return right_E

    def gain_of_moves(self, right_E: Bools) -> Floats:
        """Change in log-likelihood if an element alone changed sides, [E]."""
        right_W, right_J = self.on_the_right(right_E)
        moved_P = np.where(right_E[self.element_P], -self.count_P, self.count_P)
        moved_E = np.where(right_E, -self.all_E, self.all_E)
        gain_P = self._change(right_W[self.next_P], self.all_W[self.next_P], moved_P)
        sizes_E = self._change(right_J[self.node_E], self.all_J[self.node_E], moved_E)
        return sum_by(self.element_P, gain_P, len(self.node_E)) - sizes_E

    def gain_of_split(self, right_E: Bools) -> Floats:
        """Log-likelihood of the divided nodes over the undivided, [J]."""
        right_W, right_J = self.on_the_right(right_E)
        f = self.f
        gain_W = f[right_W] + f[self.all_W - right_W] - f[self.all_W]
        sizes_J = f[right_J] + f[self.all_J - right_J] - f[self.all_J]
        gain_J: Floats = sum_by(self.node_W, gain_W, self.num_nodes) - sizes_J
        return gain_J

    def on_the_right(self, right_E: Bools) -> tuple[Ints, Ints]:
        """Counts on the right per next word [W] and per node [J]."""
        counted_P = np.where(right_E[self.element_P], self.count_P, 0)
        right_W = count(self.next_P, counted_P, len(self.all_W))
        return right_W, count(self.node_E, np.where(right_E, self.all_E, 0), self.num_nodes)

    def _change(self, right: Ints, both: Ints, moved: Ints) -> Floats:
        """f of both sides after `moved` joined the right, less f before."""
        f, left = self.f, both - right
        change: Floats = f[right + moved] + f[left - moved] - f[right] - f[left]
        return change


def count(group: Ints, counts: Ints, num_groups: int) -> Ints:
    """Counts summed per group, [num_groups]."""
    return sum_by(group, counts, num_groups).astype(np.int64)
