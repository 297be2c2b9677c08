"""Streams: every token predicted once, from the token before it, and an exact place to resume."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.text.data.streams import IGNORE, Streams

FIRST = 999


def streams(num_tokens: int, *, rank: int = 0, **settings: int) -> Streams:
    tokens = np.arange(num_tokens, dtype=np.int64)
    return Streams(tokens, first_input=FIRST, rank=rank, **settings)


def test_the_picture_of_the_docstring() -> None:
    batches = list(Streams(np.arange(1, 12), batch_size=2, bptt_length=2, first_input=0))
    assert [x_BT.tolist() for x_BT, _ in batches] == [
        [[0, 1], [6, 7]],
        [[2, 3], [8, 9]],
        [[4, 5], [10, 11]],
    ]
    assert [y_BT.tolist() for _, y_BT in batches] == [
        [[1, 2], [7, 8]],
        [[3, 4], [9, 10]],
        [[5, 6], [11, IGNORE]],
    ]
    assert {tensor.dtype for batch in batches for tensor in batch} == {torch.int64}


@hypothesis.settings(deadline=None)
@hypothesis.given(
    num_tokens=st.integers(1, 200),
    batch_size=st.integers(1, 12),
    bptt_length=st.integers(1, 50),
    world_size=st.integers(1, 4),
)
def test_every_token_is_predicted_once_from_the_one_before(
    num_tokens: int, batch_size: int, bptt_length: int, world_size: int
) -> None:
    batch_size *= world_size
    num_tokens += batch_size
    seen: list[int] = []
    shapes = []
    for rank in range(world_size):
        loader = streams(
            num_tokens,
            batch_size=batch_size,
            bptt_length=bptt_length,
            rank=rank,
            world_size=world_size,
        )
        batches = list(loader)
        assert len(batches) == len(loader)
        shapes.append([x_BT.shape for x_BT, _ in batches])
        for input_BT, target_BT in batches:
            counted = target_BT != IGNORE
            targets = target_BT[counted].tolist()
            assert input_BT[counted].tolist() == [t - 1 if t else FIRST for t in targets]
            assert input_BT.min() >= 0
            seen += targets
        rows_BT = torch.cat([target_BT for _, target_BT in batches], dim=1)
        assert (rows_BT[:, :-1] != IGNORE).all()
        kept = rows_BT[:, 1:] != IGNORE
        assert ((rows_BT[:, 1:] - rows_BT[:, :-1])[kept] == 1).all()  # contiguous in time
    assert sorted(seen) == list(range(num_tokens))
    assert all(shape == shapes[0] for shape in shapes)  # ranks never wait for one another


@pytest.mark.parametrize(
    ("num_tokens", "batch_size", "lengths"),
    [
        (20, 2, [4, 4, 2]),  # 10 a stream
        (16, 2, [4, 4]),  # 8 a stream
        (17, 2, [4, 5]),  # 9 and 8: the odd token is not left to a step of its own
        (4, 2, [2]),
    ],
)
def test_chunk_lengths(num_tokens: int, batch_size: int, lengths: list[int]) -> None:
    loader = streams(num_tokens, batch_size=batch_size, bptt_length=4)
    assert [x_BT.shape[1] for x_BT, _ in loader] == lengths


@pytest.mark.parametrize("num_read", range(6))
def test_a_restored_place_gives_the_rest_and_then_whole_epochs(num_read: int) -> None:
    settings = {"batch_size": 3, "bptt_length": 5}
    whole = [x_BT.tolist() for x_BT, _ in streams(70, **settings)]
    loader = streams(70, **settings)
    iterator = iter(loader)
    for _ in range(num_read):
        next(iterator, None)
    restored = streams(70, **settings)
    restored.load_state_dict(loader.state_dict())
    rest = [x_BT.tolist() for x_BT, _ in restored]
    # An epoch's end is the beginning of the next.
    assert rest == (whole[num_read:] or whole)
    assert [x_BT.tolist() for x_BT, _ in restored] == whole


def test_the_place_has_moved_on_while_a_batch_is_in_use() -> None:
    loader = streams(70, batch_size=3, bptt_length=5)
    places = [loader.state_dict()["place"] for _ in loader]
    assert places == [1, 2, 3, 4, 5]


def test_a_place_can_be_restored_after_iter() -> None:
    # A loop may ask for the iterator before it restores the loader.
    loader = streams(70, batch_size=3, bptt_length=5)
    iterator = iter(loader)
    loader.load_state_dict({**loader.state_dict(), "place": 2})
    assert next(iterator)[0][0, 0].item() == 9


def test_an_abandoned_epoch_is_not_continued() -> None:
    loader = streams(70, batch_size=3, bptt_length=5)
    next(iter(loader))
    assert next(iter(loader))[0][0, 0].item() == FIRST


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 80, "bptt_length": 5}, "too few for 80 streams"),
        ({"batch_size": 0, "bptt_length": 5}, "at least 1"),
        ({"batch_size": 2, "bptt_length": 0}, "at least 1"),
        ({"batch_size": 3, "bptt_length": 5, "world_size": 2}, "multiple of 2"),
    ],
)
def test_impossible_settings(settings: dict[str, int], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        streams(70, **settings)


def test_a_place_of_other_streams_is_refused() -> None:
    state = streams(70, batch_size=3, bptt_length=5).state_dict()
    with pytest.raises(BenchError, match=r"other|belongs"):
        streams(70, batch_size=3, bptt_length=6).load_state_dict(state)
