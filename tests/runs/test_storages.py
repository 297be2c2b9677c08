"""The tracker of storages against allocations whose bytes are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.runs.memory import StorageTracker


@pytest.fixture
def tracker() -> StorageTracker:
    return StorageTracker(torch.device("cpu"))


def test_what_is_made_is_held_until_nothing_refers_to_it(tracker: StorageTracker) -> None:
    with tracker:
        a = torch.zeros(1000)
        assert tracker.live_bytes == 4000
        b = torch.zeros(10, dtype=torch.float64)
        assert tracker.live_bytes == 4080
        del a
        assert tracker.live_bytes == 80
        del b
    assert (tracker.live_bytes, tracker.peak_bytes) == (0, 4080)


def test_a_view_is_no_storage_and_keeps_the_one_it_is_of(tracker: StorageTracker) -> None:
    with tracker:
        a = torch.zeros(1000)
        row = a.view(10, 100)[3].detach()
        assert tracker.live_bytes == 4000
        del a
        assert tracker.live_bytes == 4000
        del row
    assert tracker.live_bytes == 0


def test_what_is_written_in_place_is_not_new(tracker: StorageTracker) -> None:
    old = torch.ones(100)
    with tracker:
        old.mul_(2)
        buffer = torch.empty(50)
        torch.add(old[:50], 1, out=buffer)
        assert tracker.live_bytes == 200


def test_what_was_there_before_counts_for_nothing(tracker: StorageTracker) -> None:
    old = torch.ones(100)
    with tracker:
        view, copy = old[3:], old[3:].clone()
    assert tracker.live_bytes == copy.nbytes == 388
    del view, copy
    assert tracker.live_bytes == 0


def test_a_graph_holds_what_backward_reads_and_backward_makes_gradients(
    tracker: StorageTracker,
) -> None:
    weight = nn.Parameter(torch.ones(100, 100))
    x = torch.ones(50, 100)
    with tracker:
        y = torch.tanh(x @ weight)
        loss = y.sum()
        del y
        assert tracker.live_bytes == 20_000 + 4  # tanh's output, and the sum
        loss.backward()  # type: ignore[no-untyped-call]
        assert tracker.live_bytes == 40_000 + 4
        del loss
        weight.grad = None
    assert tracker.live_bytes == 0
    # Backward holds tanh's output and its gradient, then that gradient and the weight's.
    assert tracker.peak_bytes == 4 + max(20_000 + 20_000 + 4, 40_000 + 20_000 + 4)


def test_an_own_backward_is_followed_too(tracker: StorageTracker) -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(_: object, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(_: object, grad: torch.Tensor) -> torch.Tensor:
            assert torch.zeros(5000).sum() == 0  # a buffer of 20,000 bytes
            return grad * 2

    x = torch.ones(10, requires_grad=True)
    with tracker:
        loss = Twice.apply(x).sum()  # type: ignore[no-untyped-call]
        tracker.forget_peak()
        assert tracker.peak_bytes == tracker.live_bytes < 100
        loss.backward()
    assert 20_000 < tracker.peak_bytes < 20_200


def test_the_peak_counts_from_where_it_was_forgotten(tracker: StorageTracker) -> None:
    with tracker:
        torch.zeros(1000).sum()
        kept = torch.zeros(10)
        tracker.forget_peak()
        torch.zeros(20)
    assert tracker.peak_bytes == kept.nbytes + 80


def test_another_device_is_not_counted(tracker: StorageTracker) -> None:
    with tracker:
        assert torch.zeros(10, device="meta").is_meta
    assert tracker.peak_bytes == 0


def test_the_workspace_of_the_librarys_lstm_is_what_it_writes(tracker: StorageTracker) -> None:
    layer = nn.LSTM(8, 64, batch_first=True)
    x = torch.ones(20, 30, 8)
    one = 20 * 30 * 64 * 4  # a number for each row, step and unit
    with tracker:
        y, _ = layer(x)
        # Outputs, four gates, states: far less than the workspace, whose size is fifteen such.
        assert 5 * one < tracker.live_bytes < 8 * one
        loss = y.sum()
        loss.backward()
    assert 14 * one < tracker.peak_bytes < 20 * one
