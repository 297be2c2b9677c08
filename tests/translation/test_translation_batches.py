"""Batches of pairs: each once over all ranks, bounded, padded, and exactly resumable."""

from __future__ import annotations

from typing import Any, ClassVar

import hypothesis
import numpy as np
import pytest
from batch_contract import ShuffledBatchContract
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.data.batching import batch_edges
from bench.data.rows import Rows
from bench.translation.data.batches import TranslationBatch, TranslationBatches
from bench.translation.data.corpus import PairSplit


def split_of(lengths: list[tuple[int, int]]) -> PairSplit:
    """Every source id is its pair's number plus ten, every target id plus a thousand."""
    source = Rows.of([[10 + i] * s for i, (s, _) in enumerate(lengths)])
    target = Rows.of([[1000 + i] * t for i, (_, t) in enumerate(lengths)])
    text = [str(i) for i in range(len(lengths))]
    return PairSplit(
        source_text=text,
        target_text=text,
        source_words=text,
        target_words=text,
        source=source,
        target=target,
    )


LENGTHS = [
    (5, 4),
    (30, 20),
    (2, 12),
    (7, 7),
    (7, 7),
    (7, 6),
    (9, 9),
    (9, 9),
    (9, 8),
    (3, 1),
    (1, 3),
]
SPLIT = split_of(LENGTHS)


def loader(**settings: object) -> TranslationBatches:
    return TranslationBatches(SPLIT, **{"batch_tokens": 30, **settings})  # type: ignore[arg-type]


def places(batches: TranslationBatches) -> list[list[int]]:
    return [batch.places.tolist() for batch in batches]


class TestContract(ShuffledBatchContract):
    changes: ClassVar = [{"seed": 9}, {"batch_tokens": 31}, {"order": "sorted"}, {"longest": 30}]

    def loader(self, **settings: Any) -> TranslationBatches:
        return loader(**{"seed": 5, **settings})

    def places(self, batch: TranslationBatch) -> list[int]:
        return batch.places.tolist()


@hypothesis.settings(deadline=None)
@hypothesis.given(
    lengths=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=4, max_size=60),
    batch_tokens=st.integers(1, 200),
    world_size=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_every_pair_once_over_all_ranks(
    lengths: list[tuple[int, int]], batch_tokens: int, world_size: int, epoch: int
) -> None:
    split = split_of(lengths)
    seen: list[int] = []
    counts = []
    for rank in range(world_size):
        ranks = TranslationBatches(
            split, batch_tokens=batch_tokens, seed=3, rank=rank, world_size=world_size
        )
        batches = [ranks.batch(whole) for whole in ranks.epoch_order(epoch)]
        assert len(batches) == len(ranks)
        counts.append([(int(b.num_sentences), int(b.num_target_tokens)) for b in batches])
        for batch in batches:
            seen += batch.places.tolist()
            length = max(batch.source.shape[1], batch.target.shape[1])
            # A rest that is too small for the ranks may have joined.
            fewest = int(batch.num_sentences) - (world_size - 1)
            assert fewest * length <= batch_tokens or fewest <= world_size
    assert sorted(seen) == list(range(len(lengths)))
    assert all(count == counts[0] for count in counts)  # ranks never wait for one another
    assert sum(pairs for pairs, _ in counts[0]) == len(lengths)
    assert sum(tokens for _, tokens in counts[0]) == sum(t + 1 for _, t in lengths)


def test_what_a_batch_holds() -> None:
    for batch in loader():
        for row, place in enumerate(batch.places.tolist()):
            num_source, num_target = LENGTHS[place]
            assert int(batch.source_lengths[row]) == num_source + 1
            assert int(batch.target_lengths[row]) == num_target + 1
            source, target = batch.source[row].tolist(), batch.target[row].tolist()
            assert source[: num_source + 1] == [10 + place] * num_source + [2]
            assert target[: num_target + 1] == [1000 + place] * num_target + [2]
            assert set(source[num_source + 1 :]) | set(target[num_target + 1 :]) <= {0}
        assert int(batch.num_target_tokens) == int(batch.target_lengths.sum())


def test_batches_are_of_like_length_and_bounded() -> None:
    lengths = [
        [max(LENGTHS[place]) + 1 for place in batch] for batch in places(loader(order="sorted"))
    ]
    assert lengths == [[31], [13, 10], [10, 10, 8], [8, 8, 6], [4, 4]]


@pytest.mark.parametrize(
    ("batch_tokens", "at_least", "edges"),
    [
        (1, 1, [0, 1, 2, 3, 4, 5]),
        (10**9, 1, [0, 5]),
        (20, 1, [0, 2, 4, 5]),
        (20, 2, [0, 2, 5]),  # no rest that is too small for the ranks
        (1, 3, [0, 5]),
    ],
)
def test_sizes_of_batches(batch_tokens: int, at_least: int, edges: list[int]) -> None:
    falling = np.array([10, 9, 8, 8, 7])
    assert batch_edges(falling, batch_tokens, at_least=at_least) == edges


@pytest.mark.parametrize("world_size", [2, 3])
def test_a_batch_is_the_same_for_any_number_of_ranks(world_size: int) -> None:
    split = split_of([(5 + i % 3, 5 + i % 4) for i in range(99)])
    alone = TranslationBatches(split, batch_tokens=60, seed=4)
    expected = [batch.tolist() for batch in alone.epoch_order(1)]
    ranks = [
        TranslationBatches(split, batch_tokens=60, seed=4, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for rank in ranks:
        assert [batch.tolist() for batch in rank.epoch_order(1)] == expected
    for whole in expected:
        parts = [rank.batch(np.array(whole)).places.tolist() for rank in ranks]
        assert sorted(place for part in parts for place in part) == sorted(whole)


def test_epochs_have_batches_of_their_own_from_the_seed() -> None:
    split = split_of([(5 + i % 3, 5 + i % 2) for i in range(200)])
    batches = TranslationBatches(split, batch_tokens=40, seed=1)
    epochs = [places(batches) for _ in range(3)]
    sets = [{tuple(sorted(batch)) for batch in epoch} for epoch in epochs]
    assert len(sets[0] & sets[1]) < len(sets[0]) / 2  # other companions
    assert [sorted(map(len, epoch)) for epoch in epochs] == [sorted(map(len, epochs[0]))] * 3
    calm = TranslationBatches(split, batch_tokens=40, order="sorted")
    assert places(calm) == places(calm)


def test_the_order_is_pinned() -> None:
    # A checkpoint of an older version must find the same order.
    assert places(loader(seed=1)) == ORDER


ORDER = [[1], [9, 10], [3, 5, 0], [6, 8, 4], [2, 7]]


def test_long_pairs_can_be_left_out() -> None:
    batches = loader(longest=9)
    assert batches.num_left_out == 2
    assert sorted(p for batch in places(batches) for p in batch) == [0, *range(3, 11)]
    assert loader().num_left_out == 0
    with pytest.raises(BenchError, match="0 pairs of at most 0 tokens are too few"):
        loader(longest=0)


def test_other_pairs_are_other_batches() -> None:
    other = TranslationBatches(split_of(LENGTHS[::-1]), batch_tokens=30)
    with pytest.raises(BenchError, match="belongs to batches of"):
        loader().load_state_dict(other.state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"batch_tokens": 0}, "at least 1"), ({"world_size": 12}, "too few for 12 processes")],
)
def test_impossible_settings(settings: dict[str, int], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        loader(**settings)
