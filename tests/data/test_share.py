"""Shares of an evaluation's batches: together all of them, each as one process has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from bench.data.batching import BatchShare, ResumableBatches, State


class Numbers(ResumableBatches[int]):
    """Batches that are their own numbers; notes which have been made."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.made: list[int] = []

    def __len__(self) -> int:
        return self.size

    def epoch_order(self, epoch: int) -> Sequence[int]:
        return range(epoch, epoch + self.size)

    def batch(self, of: int) -> int:
        self.made.append(of)
        return of

    def sizes(self, of: int) -> tuple[int, ...]:
        return (1,)

    def _identity(self) -> State:
        return {"size": self.size}


def shares(world_size: int, numbers: Numbers) -> Iterator[BatchShare]:
    for rank in range(world_size):
        yield BatchShare(numbers, rank=rank, world_size=world_size)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_each_batch_is_in_one_share_and_made_for_it_alone(world_size: int) -> None:
    numbers = Numbers(5)
    found = [list(share) for share in shares(world_size, numbers)]
    assert found == [list(range(5))[rank::world_size] for rank in range(world_size)]
    assert sorted(numbers.made) == list(range(5))


def test_a_share_is_the_same_in_each_epoch() -> None:
    share = BatchShare(Numbers(5), rank=1, world_size=2)
    assert [list(share) for _ in range(3)] == [[1, 3]] * 3


def test_a_share_without_a_batch_is_no_empty_loader() -> None:
    """Lightning leaves out an evaluation of length 0, and the others would wait for its end."""
    share = BatchShare(Numbers(1), rank=1, world_size=2)
    assert list(share) == []
    with pytest.raises(TypeError, match="has no len"):
        len(share)  # type: ignore[arg-type]
