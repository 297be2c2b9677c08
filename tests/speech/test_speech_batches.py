"""Batches of utterances: each once over all ranks, bounded, padded, and exactly resumable."""

from __future__ import annotations

from typing import Any, ClassVar

import hypothesis
import numpy as np
import pytest
from batch_contract import ShuffledBatchContract
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.speech.data.batches import SpeechBatch, SpeechBatches, make_batches
from bench.speech.data.corpus import Utterance
from bench.speech.data.prepared import FeatureSplit


def split_of(lengths: list[int]) -> FeatureSplit:
    """Every frame holds its utterance's number plus one."""
    num_frames = np.array(lengths, np.int64)
    numbers = np.repeat(np.arange(1, len(lengths) + 1), num_frames)
    return FeatureSplit(
        utterances=tuple(
            Utterance(id=f"u{i}", speaker="s", labels=("a",) * (1 + i % 3))
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


class TestContract(ShuffledBatchContract):
    changes: ClassVar = [{"seed": 9}, {"batch_frames": 41}, {"order": "sorted"}]

    def loader(self, **settings: Any) -> SpeechBatches:
        return loader(**{"seed": 5, **settings})

    def places(self, batch: SpeechBatch) -> list[int]:
        return batch.utterances.tolist()


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


def test_epochs_have_the_same_batches() -> None:
    batches = loader(seed=1)
    epochs = [places(batches) for _ in range(4)]
    assert {str(sorted(epoch)) for epoch in epochs} == {str(sorted(epochs[0]))}
    assert [places(loader(seed=seed)) for seed in (1, 2, 3)].count(epochs[0]) == 1
    calm = loader(order="sorted")
    assert places(calm) == places(calm) == [batch.tolist() for batch in calm.batches]


def test_the_order_is_pinned() -> None:
    # A checkpoint of an older version must find the same order.
    assert loader(seed=1).epoch_order(0).tolist() == [2, 4, 0, 3, 1]


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
