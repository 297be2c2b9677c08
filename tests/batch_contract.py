"""The laws of batches whose place can be saved, as a class to inherit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pytest

from bench.core.errors import BenchError


class BatchContract(ABC):
    """Inherited by `Test...` classes, which say how their batches are made."""

    changes: ClassVar[list[dict[str, Any]]]
    """Settings that each make other batches than the usual ones."""

    @abstractmethod
    def loader(self, **settings: Any) -> Any:
        """At least five batches an epoch, of examples that `rank` and `world_size` share."""

    @abstractmethod
    def places(self, batch: Any) -> list[int]:
        """The examples in a batch."""

    def epoch(self, loader: Any) -> list[list[int]]:
        return [self.places(batch) for batch in loader]

    @pytest.mark.parametrize("world_size", [1, 2, 3])
    def test_every_example_once_over_all_ranks(self, world_size: int) -> None:
        whole = sorted(place for batch in self.epoch(self.loader()) for place in batch)
        assert len(whole) == len(set(whole)) > 0
        ranks = [self.loader(rank=rank, world_size=world_size) for rank in range(world_size)]
        for _ in range(2):
            epochs = [self.epoch(rank) for rank in ranks]
            assert sorted(p for epoch in epochs for batch in epoch for p in batch) == whole
            # Ranks never wait for one another.
            assert {len(epoch) for epoch in epochs} == {len(rank) for rank in ranks}
            assert len({len(epoch) for epoch in epochs}) == 1

    def test_a_restored_place_gives_the_rest_and_then_whole_epochs(self) -> None:
        calm = self.loader()
        expected = [batch for _ in range(4) for batch in self.epoch(calm)]
        for num_read in range(2 * len(calm) + 3):
            interrupted, read = self.loader(), list[list[int]]()
            while len(read) < num_read:
                for batch in interrupted:
                    read.append(self.places(batch))
                    if len(read) == num_read:
                        break
            restored = self.loader()
            restored.load_state_dict(interrupted.state_dict())
            while len(read) < len(expected):
                read += self.epoch(restored)
            assert read == expected, num_read

    def test_the_place_has_moved_on_while_a_batch_is_in_use(self) -> None:
        loader = self.loader()
        places = [loader.state_dict()["place"] for _ in loader]
        assert places == list(range(1, len(loader) + 1))

    def test_a_place_can_be_restored_after_iter(self) -> None:
        """A loop may ask for the iterator before it restores the loader."""
        loader, expected = self.loader(), self.epoch(self.loader())
        iterator = iter(loader)
        loader.load_state_dict({**loader.state_dict(), "place": 2})
        assert self.places(next(iterator)) == expected[2]

    def test_an_epoch_that_was_left_is_begun_anew(self) -> None:
        loader = self.loader()
        next(iter(loader))
        assert self.epoch(loader) == self.epoch(self.loader())

    def test_a_place_of_other_batches_is_refused(self) -> None:
        for change in self.changes:
            with pytest.raises(BenchError, match="belongs to"):
                self.loader(**change).load_state_dict(self.loader().state_dict())


class ShuffledBatchContract(BatchContract):
    """Of batches in an order of each epoch's own, by their `seed`."""

    def test_epochs_have_an_order_of_their_own_from_the_seed(self) -> None:
        calm, again = self.loader(), self.loader()
        epochs = [self.epoch(calm) for _ in range(4)]
        assert [self.epoch(again) for _ in range(4)] == epochs
        assert len({str(epoch) for epoch in epochs}) > 2
        assert self.epoch(self.loader(seed=1234)) != epochs[0]

    def test_a_new_loader_that_is_told_the_epoch_goes_on_with_it(self) -> None:
        calm, told, left = (self.loader() for _ in range(3))
        epochs = [self.epoch(calm) for _ in range(3)]
        told.set_epoch(2)
        assert self.epoch(told) == epochs[2]
        left.set_epoch(1)
        batches = iter(left)
        assert [self.places(next(batches)) for _ in range(2)] == epochs[1][:2]
        told.load_state_dict(left.state_dict())
        told.set_epoch(1)
        assert self.epoch(told) == epochs[1][2:]
