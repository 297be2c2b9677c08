"""Counts of all n-grams of a text, as a trie kept in sorted arrays.

Shapes: N tokens, V vocabulary, G distinct n-grams of one order.

An n-gram of order k is a pair (context, word): the context is the id of an n-gram of order k-1,
and `context * V + word` is its key. Ids are ranks among the sorted keys, so the successors of a
context lie side by side and a look-up is a binary search. Order 1 is the vocabulary itself.
Each order costs one sort of N keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.text.baselines.base import Floats, Ints

# Keys as they are kept: 32 bits where they suffice, 64 otherwise.
Keys: TypeAlias = NDArray[np.uint32] | NDArray[np.int64]
Contexts = Literal["within-sentences", "across-sentences"]


@dataclass(frozen=True, kw_only=True)
class Grams:
    """All n-grams of one order, [G] each; a suffix lacks the first word and is one order lower."""

    key: Ints
    context: Ints
    word: Ints
    suffix: Ints
    count: Ints

    def find(self, key_N: Ints) -> Ints:
        """The id of each key, -1 for a key that was never seen."""
        return find(self.key, key_N)

    def successors(self, context: int, vocabulary_size: int) -> slice:
        """The ids of the n-grams that extend one context."""
        ends = np.array([context, context + 1], dtype=np.int64) * vocabulary_size
        start, stop = np.searchsorted(self.key, ends)
        return slice(int(start), int(stop))


@dataclass(frozen=True, kw_only=True)
class Trie:
    """The n-grams of orders 1 to len(orders) of a training text."""

    orders: tuple[Grams, ...]
    vocabulary_size: int
    end_of_sentence: int | None
    contexts: Contexts

    @classmethod
    def count(
        cls,
        tokens: Ints,
        *,
        order: int,
        vocabulary_size: int,
        end_of_sentence: int | None,
        contexts: Contexts,
    ) -> Trie:
        """Count the n-grams of orders 1 to `order`, or to the longest that the text has."""
        stream = _with_start(tokens, end_of_sentence)
        barrier = _barrier(stream, end_of_sentence, contexts)
        orders = [_unigrams(tokens, vocabulary_size)]
        ending = stream
        for k in range(2, order + 1):
            context = _shift(ending, barrier if k > 2 else None)
            if not (context >= 0).any():
                break  # every line is shorter: longer n-grams would be empty tables
            grams, ending = _extend(context, stream, ending, vocabulary_size)
            orders.append(grams)
        return cls(
            orders=tuple(orders),
            vocabulary_size=vocabulary_size,
            end_of_sentence=end_of_sentence,
            contexts=contexts,
        )

    def trace(self, tokens: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Per order, for each token [N]: the ids of its context and of its n-gram, -1 for unseen.

        The context of order 1 is the empty one, id 0.
        """
        stream = _with_start(tokens, self.end_of_sentence)
        barrier = _barrier(stream, self.end_of_sentence, self.contexts)
        skip = len(stream) - len(tokens)
        ending = stream
        yield np.zeros(len(tokens), dtype=np.int64), ending[skip:]
        for k, grams in enumerate(self.orders[1:], start=2):
            context = _shift(ending, barrier if k > 2 else None)
            ending = np.full(len(stream), -1)
            known = np.flatnonzero(context >= 0)
            ending[known] = grams.find(context[known] * self.vocabulary_size + stream[known])
            yield context[skip:], ending[skip:]

    def contexts_of(self, history: Ints) -> list[int]:
        """The ids of the contexts that a history ends with, of lengths 0, 1, .. while known."""
        probe = np.append(np.asarray(history, dtype=np.int64), 0)
        ids = [int(context[-1]) for context, _ in self.trace(probe)]
        return ids[: ids.index(-1)] if -1 in ids else ids

    def spell(self, k: int) -> Ints:
        """The words of every n-gram of order k, [G, k]."""
        grams = self.orders[k - 1]
        if k == 1:
            return grams.word[:, None]
        return np.column_stack([self.spell(k - 1)[grams.context], grams.word])


def rank(key: Ints) -> tuple[Ints, Ints]:
    """The distinct keys, sorted, and the place of each key among them."""
    order = np.argsort(key)
    ordered = key[order]
    first = np.ones(len(key), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    place = np.empty(len(key), dtype=np.int64)
    place[order] = np.cumsum(first) - 1
    return ordered[first], place


def narrow(key: Ints) -> Keys:
    """Keys in 32 bits where they fit."""
    return key.astype(np.uint32) if key.max(initial=0) < 2**32 else key


def find(keys: Keys, wanted: Ints) -> Ints:
    """The place of each wanted key among sorted keys, -1 where it is missing."""
    if len(keys) == 0:
        return np.full(len(wanted), -1)
    # Searching for wider integers would widen all keys first; what does not fit is not among them.
    narrowed = np.minimum(wanted, np.iinfo(keys.dtype).max).astype(keys.dtype)
    place = np.minimum(np.searchsorted(keys, narrowed), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def sum_by(group: Ints, weight: Ints | Floats, num_groups: int) -> Floats:
    """The weights summed per group, [num_groups]."""
    return np.asarray(np.bincount(group, weight, num_groups), dtype=np.float64)


def _with_start(tokens: Ints, end_of_sentence: int | None) -> Ints:
    if end_of_sentence is None:
        return tokens
    return np.concatenate([[end_of_sentence], tokens])


def _barrier(stream: Ints, end_of_sentence: int | None, contexts: Contexts) -> Ints | None:
    """Positions whose word is an end of sentence that contexts may begin with but not run over."""
    if end_of_sentence is None or contexts == "across-sentences":
        return None
    return np.flatnonzero(stream == end_of_sentence)


def _shift(ending: Ints, barrier: Ints | None) -> Ints:
    """The context of each position: what ended one position earlier, -1 where nothing may."""
    context = np.empty_like(ending)
    context[0] = -1
    context[1:] = ending[:-1]
    if barrier is not None:
        context[barrier[barrier + 1 < len(context)] + 1] = -1
    return context


def _unigrams(tokens: Ints, vocabulary_size: int) -> Grams:
    word = np.arange(vocabulary_size)
    nothing = np.zeros(vocabulary_size, dtype=np.int64)
    count = np.bincount(tokens, minlength=vocabulary_size)
    return Grams(key=word, context=nothing, word=word, suffix=nothing, count=count)


def _extend(context: Ints, stream: Ints, ending: Ints, vocabulary_size: int) -> tuple[Grams, Ints]:
    """The n-grams one word longer, and for each position the id of the one that ends there."""
    place = np.flatnonzero(context >= 0)
    key = context[place] * vocabulary_size + stream[place]
    distinct, gram = rank(key)
    longer = np.full(len(stream), -1)
    longer[place] = gram
    suffix = np.empty(len(distinct), dtype=np.int64)
    suffix[gram] = ending[place]
    grams = Grams(
        key=distinct,
        context=distinct // vocabulary_size,
        word=distinct % vocabulary_size,
        suffix=suffix,
        count=np.bincount(gram),
    )
    return grams, longer
