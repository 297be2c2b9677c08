"""Sentences as a tree of prefixes, so that what several begin with is computed once.

    a dog runs </s>         level 0    1      2       3
    a dog sits </s>                 a - dog -+- runs - </s>
    a man </s>                        |      +- sits - </s>
                                      +- man --- </s>

Shapes: S sentences, T tokens, M nodes of a level, K nodes of a level that go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """The nodes of one depth, in the order of their parents."""

    parent: Ids
    """Of each node, among those of the level before that go on [M]."""
    token: Ids
    """[M]."""
    inner: Ids
    """The nodes that go on [K]."""
    sentence: Ids
    """Sentences that end here."""
    leaf: Ids
    """The node where each of these ends."""


def prefix_tree(rows: Sequence[Ids], *, end: int) -> list[Level]:
    """The levels of sentences without their ends; each sentence ends in a node `end`."""
    length_S = np.array([len(row) + 1 for row in rows], np.int64)
    ids_ST = np.full((len(rows), int(length_S.max(initial=0))), end, np.int64)
    for ids_T, row in zip(ids_ST, rows, strict=True):
        ids_T[: len(row)] = row
    size = int(ids_ST.max(initial=end)) + 1
    at_S = np.zeros(len(rows), np.int64)
    levels = []
    for depth, ids_S in enumerate(ids_ST.T):
        alive = np.flatnonzero(length_S > depth)
        key, node = np.unique(at_S[alive] * size + ids_S[alive], return_inverse=True)
        ends = length_S[alive] == depth + 1
        going = np.zeros(len(key), np.bool_)
        going[node[~ends]] = True
        levels.append(
            Level(
                parent=key // size,
                token=key % size,
                inner=np.flatnonzero(going),
                sentence=alive[ends],
                leaf=node[ends],
            )
        )
        at_S[alive] = (np.cumsum(going) - 1)[node]
    return levels


def num_nodes(levels: Sequence[Level]) -> int:
    """Nodes from which a step is made, the root among them."""
    return 1 + sum(len(level.inner) for level in levels)
