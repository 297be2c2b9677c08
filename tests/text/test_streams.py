"""Streams: every token predicted once, from the token before it, and an exact place to resume."""

from __future__ import annotations

from typing import Any, ClassVar

import hypothesis
import numpy as np
import pytest
import torch
from batch_contract import BatchContract
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.text.data.streams import IGNORE, Streams

FIRST = 999


def streams(num_tokens: int, *, rank: int = 0, **settings: int) -> Streams:
    tokens = np.arange(num_tokens, dtype=np.int64)
    return Streams(tokens, first_input=FIRST, rank=rank, **settings)


class TestContract(BatchContract):
    changes: ClassVar = [{"batch_size": 12}, {"bptt_length": 6}]

    def loader(self, **settings: Any) -> Streams:
        return streams(140, **{"batch_size": 6, "bptt_length": 5, **settings})

    def places(self, batch: tuple[torch.Tensor, torch.Tensor]) -> list[int]:
        return batch[1][batch[1] != IGNORE].tolist()


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
