"""A randomised decision tree over the two last words, for the random-forest language model.

Shapes: N events (a history and its next word), J nodes of one level, E elements: pairs of a node
and a word that its histories hold at the position that the node asks about.

A node draws one of the two positions at random and divides the words there in two by the exchange
algorithm (exchange.py); no limit on depth. It stays divided where its descendants give held-out
text a higher likelihood than the node as a leaf. A word that training never showed at a node goes
with the larger child; from there on its probability leans on the lower order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bench.text.baselines.base import Floats, Ints
from bench.text.baselines.counts import Keys, find, narrow, rank, sum_by

# Events that a decision tree sorts, and the smoothed counts of its leaves.
#
# Shapes: N events, J nodes.


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


# The exchange algorithm: words divided in two so that their next words become most likely.
#
# Shapes: N events, P distinct (element, next word) pairs, W distinct (node, next word) pairs,
# E elements, J nodes. An element is a pair of a node and a word that the node's histories hold.
#
# With c the counts of next words on one side of a node and f(x) = x log x, the log-likelihood of
# the training text is  sum_w f(c(w)) - f(sum_w c(w)),  summed over both sides. The two sides start
# at random, and an element changes sides where that alone raises the sum. All elements of all nodes
# are weighed at once; a random half of those that gain move in each round, since neighbours that
# moved together could swap for ever.


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
        """True for each element that goes right, [E]."""
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


SMALLEST_NODE = 3
NEWER_SHARE = 0.6


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Questions: position 1 asks the newer word, 2 the older, 0 marks a leaf, [J].

    `key` [E] is node * base + word, sorted, and `side` [E] the answer, 0 or 1; a word without an
    element goes to side `larger` [J]. `child` [J, 2] is the node reached, -1 from a leaf.
    """

    position: Ints
    key: Keys
    side: NDArray[np.int8]
    larger: Ints
    child: Ints
    base: int

    def step(self, node: Ints, events: Events) -> tuple[Ints, Bools]:
        """The child that each event goes to, and whether that was a guess."""
        word = np.where(self.position[node] == 1, events.newer, events.older)
        element = find(self.key, node * self.base + word)
        known = element >= 0
        side = self.larger[node]
        side[known] = self.side[element[known]]
        return self.child[node, side], ~known & (self.position[node] > 0)

    def leaves(self, events: Events) -> tuple[Ints, Bools]:
        """The leaf of each event below node 0, and whether a guess led there, [N]."""
        node = np.zeros(len(events.word), dtype=np.int64)
        guessed = np.zeros(len(events.word), dtype=np.bool_)
        active = np.flatnonzero(self.position[node] > 0)
        while len(active):
            node[active], unknown = self.step(node[active], events.take(active))
            guessed[active] |= unknown
            active = active[self.position[node[active]] > 0]
        return node, guessed


def grow_tree(train: Events, held_out: Events, *, base: int, rng: np.random.Generator) -> Nodes:
    """A tree grown on `train` and pruned on `held_out`; all words are below `base`."""
    levels, scores = _grow(train, held_out, base=base, rng=rng)
    return _join(levels, _prune(levels, scores), base)


def _grow(
    train: Events, held_out: Events, *, base: int, rng: np.random.Generator
) -> tuple[list[Nodes], list[Floats]]:
    """Levels of nodes, children numbered within the next, and held-out likelihoods as leaves."""
    node, held_node = (np.zeros(len(e.word), dtype=np.int64) for e in (train, held_out))
    guessed = np.zeros(len(held_node), dtype=np.bool_)
    num_nodes, levels, scores = 1, list[Nodes](), list[Floats]()
    while num_nodes:
        leaves = Leaves.count(node, train, num_nodes=num_nodes, base=base)
        log_p = np.log(leaves.probability(held_node, guessed, held_out))
        scores.append(sum_by(held_node, log_p * held_out.count, num_nodes))
        level, node = _split(node, train, num_nodes=num_nodes, base=base, rng=rng)
        levels.append(level)
        held_node, unknown = level.step(held_node, held_out)
        kept, held_kept = np.flatnonzero(node >= 0), np.flatnonzero(held_node >= 0)
        train, node = train.take(kept), node[kept]
        held_out, held_node = held_out.take(held_kept), held_node[held_kept]
        guessed = (guessed | unknown)[held_kept]
        num_nodes = int(level.child.max()) + 1
    return levels, scores


def _split(
    node: Ints, events: Events, *, num_nodes: int, base: int, rng: np.random.Generator
) -> tuple[Nodes, Ints]:
    """Divide each node whose division makes its training text more likely; the events' children."""
    position = _draw_positions(node, events, num_nodes, rng)
    reached = np.full(len(node), -1)
    active = np.flatnonzero(position[node] > 0)
    node, events = node[active], events.take(active)
    asked = np.where(position[node] == 1, events.newer, events.older)
    key, element = rank(node * base + asked)
    divided, larger = np.zeros(num_nodes, dtype=np.bool_), np.zeros(num_nodes, dtype=np.int64)
    side = np.zeros(len(key), dtype=np.int8)
    if len(key):
        exchange = Exchange(element, events.word, events.count, node_E=key // base, base=base)
        right = exchange.divide(rng)
        _, right_J = exchange.on_the_right(right)
        two_sided = (right_J > 0) & (right_J < exchange.all_J)
        divided[: len(right_J)] = two_sided & (exchange.gain_of_split(right) > _NOTHING)
        larger[: len(right_J)] = 2 * right_J > exchange.all_J
        side = right.astype(np.int8)
    child = np.full((num_nodes, 2), -1)
    child[divided] = np.arange(2 * divided.sum()).reshape(-1, 2)
    used = divided[key // base]
    position = np.where(divided, position, 0)
    reached[active] = child[node, side[element]]
    level = Nodes(
        position=position, key=key[used], side=side[used], larger=larger, child=child, base=base
    )
    return level, reached


def _draw_positions(node: Ints, events: Events, num_nodes: int, rng: np.random.Generator) -> Ints:
    """1 or 2 at random where both words vary, the one that varies, or 0."""
    varies = []
    for word in (events.newer, events.older):
        some = np.zeros(num_nodes, dtype=np.int64)
        some[node] = word
        varies.append(sum_by(node, word != some[node], num_nodes) > 0)
    drawn = np.where(rng.random(num_nodes) < NEWER_SHARE, 1, 2)
    only = np.where(varies[0], 1, np.where(varies[1], 2, 0))
    large = sum_by(node, events.count, num_nodes) >= SMALLEST_NODE
    return np.where(large, np.where(varies[0] & varies[1], drawn, only), 0)


def _prune(levels: list[Nodes], scores: list[Floats]) -> list[Bools]:
    """Per level, the nodes that stay divided: those whose descendants score higher, [J]."""
    best = np.zeros(0)
    kept: list[Bools] = []
    for level, score in zip(reversed(levels), reversed(scores), strict=True):
        below = np.append(best, 0.0)[level.child].sum(axis=1)
        kept.append((level.position > 0) & (below > score))
        best = np.where(kept[-1], below, score)
    return kept[::-1]


def _join(levels: list[Nodes], kept: list[Bools], base: int) -> Nodes:
    """One numbering for the nodes of all levels that are reached; node 0 is the root."""
    parts: list[Nodes] = []
    reached, start = np.zeros(1, dtype=np.int64), 0
    for level, keep in zip(levels, kept, strict=True):
        divided = keep[reached]
        number = np.full(len(keep), -1)
        number[reached] = start + np.arange(len(reached))
        start += len(reached)
        child = np.full((len(reached), 2), -1)
        child[divided] = start + np.arange(2 * divided.sum()).reshape(-1, 2)
        element_node = level.key // base
        used = keep[element_node] & (number[element_node] >= 0)
        parts.append(
            Nodes(
                position=np.where(divided, level.position[reached], 0),
                key=number[element_node[used]] * base + level.key[used] % base,
                side=level.side[used],
                larger=level.larger[reached],
                child=child,
                base=base,
            )
        )
        reached = level.child[reached[divided]].ravel()
        if len(reached) == 0:
            break
    return Nodes(
        position=np.concatenate([part.position for part in parts]),
        key=narrow(np.concatenate([part.key for part in parts])),
        side=np.concatenate([part.side for part in parts]),
        larger=np.concatenate([part.larger for part in parts]),
        child=np.concatenate([part.child for part in parts]),
        base=base,
    )
