"""The random forest: its exchange moves, its trees and its probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.text.baselines.counts import find, narrow, rank
from bench.text.baselines.forest import Forest, training_events
from bench.text.baselines.mix import perplexity
from bench.text.baselines.tree import DISCOUNTS, Events, Exchange, Leaves, grow_tree

V, END = 12, 0


def text(seed: int, length: int = 400) -> NDArray[np.int64]:
    """Words that repeat their neighbours' parity, so that histories are worth sorting."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, V // 2, length)
    return words * 2 + (np.cumsum(rng.random(length) < 0.2) % 2)


def fitted(order: int = 3, num_trees: int = 3, end: int | None = END) -> Forest:
    model = Forest(order=order, num_trees=num_trees)
    model.fit(text(0), valid=text(1), vocabulary_size=V + 1, end_of_sentence=end)
    return model


def likelihood(
    node_N: NDArray[np.int64], word_N: NDArray[np.int64], count_N: NDArray[np.int64]
) -> float:
    """sum over nodes of sum_w c(w) log(c(w) / c), by the definition."""
    total = 0.0
    for node in set(node_N):
        here = node_N == node
        counts = np.bincount(word_N[here], count_N[here])
        counts = counts[counts > 0]
        total += float(counts @ np.log(counts / counts.sum()))
    return total


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_exchange_gains_are_differences_of_likelihood(seed: int) -> None:
    rng = np.random.default_rng(seed)
    element_N, word_N, count_N = (
        rng.integers(0, 6, 40),
        rng.integers(0, 5, 40),
        rng.integers(1, 9, 40),
    )
    element_N = rank(element_N)[1]
    node_E = np.arange(element_N.max() + 1) // 3
    exchange = Exchange(element_N, word_N, count_N, node_E=node_E, base=10)
    right = rng.random(len(node_E)) < 0.5

    def divided(side: NDArray[np.bool_]) -> float:
        return likelihood(2 * node_E[element_N] + side[element_N], word_N, count_N)

    whole = likelihood(node_E[element_N], word_N, count_N)
    assert exchange.gain_of_split(right).sum() == pytest.approx(divided(right) - whole, abs=1e-9)
    for e, gain in enumerate(exchange.gain_of_moves(right)):
        moved = right.copy()
        moved[e] ^= True
        assert gain == pytest.approx(divided(moved) - divided(right), abs=1e-9)


def test_exchange_finds_two_plain_groups() -> None:
    # Words 0..4 are followed by 0 or 1, words 5..9 by 2 or 3.
    element = np.repeat(np.arange(10), 20)
    word = np.random.default_rng(0).integers(0, 2, 200) + 2 * (element >= 5)
    exchange = Exchange(
        element, word, np.ones(200, np.int64), node_E=np.zeros(10, np.int64), base=10
    )
    right = exchange.divide(np.random.default_rng(1))
    assert set(right[:5]) | set(right[5:]) == {False, True}
    assert len(set(right[:5])) == len(set(right[5:])) == 1


def test_leaf_probability_by_hand() -> None:
    # One node: word 0 four times, word 1 once; 5 tokens; freed D(3) + D(1) = 1.8 + 0.9.
    nothing = np.zeros(2, dtype=np.int64)
    train = Events(
        older=nothing,
        newer=nothing,
        word=np.array([0, 1]),
        count=np.array([4, 1]),
        lower=np.ones(2),
    )
    leaves = Leaves.count(nothing, train, num_nodes=1, base=5)
    asked = Events(
        older=nothing,
        newer=nothing,
        word=np.array([0, 3]),
        count=nothing + 1,
        lower=np.array([0.5, 0.1]),
    )
    assert DISCOUNTS.tolist() == [0.0, 0.9, 1.4, 1.8]
    sure = leaves.probability(nothing, np.array([False, False]), asked)
    assert sure == pytest.approx([2.2 / 5 + 2.7 / 5 * 0.5, 2.7 / 5 * 0.1], abs=1e-6)
    guessed = leaves.probability(nothing, np.array([True, True]), asked)
    assert guessed == pytest.approx(0.4 * sure + 0.6 * asked.lower, abs=1e-6)


def test_a_tree_sorts_what_it_was_grown_on_without_guessing_and_prunes() -> None:
    model = fitted()
    trie, _ = model._ready()
    train = training_events(trie)
    nodes = grow_tree(train, model._events(text(1)), base=V + 2, rng=np.random.default_rng(0))
    leaf, guessed = nodes.leaves(train)
    assert not guessed.any()
    assert np.all(nodes.position[leaf] == 0)
    assert len(set(leaf)) > 1
    nobody = model._events(text(1)).take(np.zeros(0, dtype=np.int64))
    stump = grow_tree(train, nobody, base=V + 2, rng=np.random.default_rng(0))
    assert len(stump.position) == 1


def test_more_trees_predict_better_and_the_seed_decides() -> None:
    one, many = fitted(num_trees=1), fitted(num_trees=15)
    assert perplexity(many.log_probs(text(2))) < perplexity(one.log_probs(text(2)))
    assert np.array_equal(one.log_probs(text(2)), fitted(num_trees=1).log_probs(text(2)))
    other = Forest(order=3, num_trees=1, seed=1)
    other.fit(text(0), valid=text(1), vocabulary_size=V + 1, end_of_sentence=END)
    assert not np.array_equal(one.log_probs(text(2)), other.log_probs(text(2)))


def test_keys_are_found_in_32_bits_and_never_by_overflow() -> None:
    keys = narrow(np.array([3, 2**32 - 1]))
    assert keys.dtype == np.uint32
    assert find(keys, np.array([3, 2**32 + 3, 2**32 - 1, 4])).tolist() == [0, -1, 1, -1]
    assert narrow(np.array([2**32])).dtype == np.int64


@pytest.mark.parametrize(
    ("order", "num_trees", "message"), [(2, 1, "order 2"), (8, 1, "order 8"), (3, 0, "num_trees 0")]
)
def test_meaningless_options_are_refused(order: int, num_trees: int, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        Forest(order=order, num_trees=num_trees)


def test_forest_wants_lines_of_two_words() -> None:
    with pytest.raises(BenchError, match="two words"):
        Forest().fit(np.array([0, 0]), valid=text(0), vocabulary_size=V, end_of_sentence=END)
