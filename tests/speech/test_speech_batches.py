"""Batches of utterances: each once over all ranks, bounded, padded, and exactly resumable."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.speech.data.batches import SpeechBatches, make_batches
from bench.speech.data.corpus import Utterance
from bench.speech.data.prepared import FeatureSplit


def split_of(lengths: list[int]) -> FeatureSplit:
    """Every frame holds its utterance's number plus one."""
    num_frames = np.array(lengths, np.int64)
    numbers = np.repeat(np.arange(1, len(lengths) + 1), num_frames)
    return FeatureSplit(
        utterances=tuple(
            Utterance(id=f"u{i}", speaker="s", phones=("a",) * (1 + i % 3))
            for i in range(len(lengths))
        ),
        labels=tuple(np.full(1 + i % 3, 1 + i % 5) for i in range(len(lengths))),
        first=np.cumsum(num_frames) - num_frames,
        num_frames=num_frames,
        frames=np.stack([numbers, -numbers], axis=1).astype(np.float32),
    )


SPLIT = split_of([5, 30, 12, 7, 7, 22, 9, 18, 3, 14, 7])


def loader(**settings: object) -> SpeechBatches:
    return SpeechBatches(SPLIT, **{"batch_frames": 40, **settings})  # type: ignore[arg-type]


def places(batches: SpeechBatches) -> list[list[int]]:
    return [batch.utterances.tolist() for batch in batches]


@hypothesis.settings(deadline=None)
@hypothesis.given(
    lengths=st.lists(st.integers(1, 60), min_size=4, max_size=60),
    batch_frames=st.integers(1, 200),
    world_size=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_every_utterance_once_over_all_ranks(
    lengths: list[int], batch_frames: int, world_size: int, epoch: int
) -> None:
    split = split_of(lengths)
    seen: list[int] = []
    counts = []
    for rank in range(world_size):
        ranks = SpeechBatches(
            split, batch_frames=batch_frames, seed=3, rank=rank, world_size=world_size
        )
        order = ranks.epoch_order(epoch)
        assert sorted(order) == list(range(len(ranks)))
        batches = [ranks.batch(int(number)) for number in order]
        counts.append([int(batch.num_utterances) for batch in batches])
        for batch in batches:
            seen += batch.utterances.tolist()
            assert batch.features.shape[:2] == (len(batch.utterances), batch.num_frames.max())
    assert sorted(seen) == list(range(len(lengths)))
    assert all(count == counts[0] for count in counts)  # ranks never wait for one another
    assert sum(counts[0]) == len(lengths)


def test_batches_are_of_like_length_and_bounded() -> None:
    batches = make_batches(SPLIT.num_frames, 40)
    lengths = [SPLIT.num_frames[batch].tolist() for batch in batches]
    assert lengths == [[30], [22], [18, 14], [12, 9, 7], [7, 7, 5, 3]]
    assert [max(row) * len(row) <= 40 for row in lengths] == [True] * 5


@pytest.mark.parametrize(
    ("batch_frames", "at_least", "sizes"),
    [
        (1, 1, [1] * 11),  # one at a time, as online gradient descent wants it
        (10**9, 1, [11]),
        (40, 2, [2, 2, 3, 4]),  # the bound gives way where a rank would have nothing
        (1, 2, [2, 2, 2, 2, 3]),  # no rest that is too small for the ranks
    ],
)
def test_sizes_of_batches(batch_frames: int, at_least: int, sizes: list[int]) -> None:
    batches = make_batches(SPLIT.num_frames, batch_frames, at_least=at_least)
    assert [len(batch) for batch in batches] == sizes


def test_what_a_batch_holds() -> None:
    for batch in loader():
        for row, place in enumerate(batch.utterances.tolist()):
            length, size = int(batch.num_frames[row]), int(batch.num_labels[row])
            assert length == SPLIT.num_frames[place]
            assert batch.features[row, :length].tolist() == [[place + 1, -place - 1]] * length
            assert (batch.features[row, length:] == 0).all()
            assert batch.labels[row, :size].tolist() == SPLIT.labels[place].tolist()
            assert (batch.labels[row, size:] == 0).all()
        assert (batch.num_frames[:-1] >= batch.num_frames[1:]).all()


def test_epochs_have_orders_of_their_own_from_the_seed() -> None:
    batches = loader(seed=1)
    epochs = [places(batches) for _ in range(4)]
    assert len({str(epoch) for epoch in epochs}) > 2
    assert {str(sorted(epoch)) for epoch in epochs} == {str(sorted(epochs[0]))}
    again = loader(seed=1)
    assert [places(again) for _ in range(4)] == epochs
    assert [places(loader(seed=seed)) for seed in (1, 2, 3)].count(epochs[0]) == 1
    calm = loader(order="sorted")
    assert places(calm) == places(calm) == [batch.tolist() for batch in calm.batches]


def test_the_order_is_pinned() -> None:
    # A checkpoint of an older version must find the same order.
    assert loader(seed=1).epoch_order(0).tolist() == [2, 4, 0, 3, 1]


@pytest.mark.parametrize("num_read", range(13))
def test_a_restored_place_gives_the_rest_and_then_whole_epochs(num_read: int) -> None:
    calm = loader(seed=5)
    expected = [batch for _ in range(4) for batch in places(calm)]
    interrupted = loader(seed=5)
    read: list[list[int]] = []
    while len(read) < num_read:
        for batch in interrupted:
            read.append(batch.utterances.tolist())
            if len(read) == num_read:
                break
    restored = loader(seed=5)
    restored.load_state_dict(interrupted.state_dict())
    while len(read) < len(expected):
        read += places(restored)
    assert read == expected


def test_the_place_has_moved_on_while_a_batch_is_in_use() -> None:
    batches = loader()
    assert [batches.state_dict()["place"] for _ in batches] == [1, 2, 3, 4, 5]


def test_a_place_can_be_restored_after_iter() -> None:
    # A loop may ask for the iterator before it restores the loader.
    batches = loader(seed=2)
    expected = places(loader(seed=2))
    iterator = iter(batches)
    batches.load_state_dict({**batches.state_dict(), "place": 2})
    assert next(iterator).utterances.tolist() == expected[2]


def test_an_epoch_that_was_left_is_begun_anew() -> None:
    batches = loader(seed=2)
    next(iter(batches))
    assert places(batches) == places(loader(seed=2))


@pytest.mark.parametrize("change", [{"seed": 9}, {"batch_frames": 41}, {"order": "sorted"}])
def test_a_place_of_other_batches_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BenchError, match="belongs to batches of"):
        loader(**change).load_state_dict(loader().state_dict())


def test_other_utterances_are_other_batches() -> None:
    other = SpeechBatches(split_of([5, 30, 12]), batch_frames=40)
    with pytest.raises(BenchError, match="belongs to batches of"):
        loader().load_state_dict(other.state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"batch_frames": 0}, "at least 1"), ({"world_size": 12}, "too few for 12 processes")],
)
def test_impossible_settings(settings: dict[str, int], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        loader(**settings)


def test_a_new_loader_that_is_told_the_epoch_goes_on_with_it() -> None:
    calm = loader(seed=2)
    epochs = [places(calm) for _ in range(3)]
    told = loader(seed=2)
    told.set_epoch(2)
    assert places(told) == epochs[2]
    left = loader(seed=2)
    left.set_epoch(1)
    batches = iter(left)
    assert [next(batches).utterances.tolist() for _ in range(2)] == epochs[1][:2]
    told.load_state_dict(left.state_dict())
    told.set_epoch(1)
    assert places(told) == epochs[1][2:]
