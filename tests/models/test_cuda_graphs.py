"""Loops that are replayed equal loops that are run, whatever was replayed in between."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from recurrence_cases import INPUT_SIZE, Case, combinations
from remembered import Remembered, replay_on_cpu
from torch import Tensor

from bench.models.fast import cuda_graphs
from bench.models.fast.cuda_graphs import GraphCache, Tensors, replay
from bench.models.recurrence import Recurrence

LOOPS = [
    case
    for name in ("lstm", "gru", "jordan", "conv-lstm")
    for case in combinations(name)
    if case.options[-1] != ("reset", "after") and str(case) != "lstm-none-separate"
]
"""What is a loop of small products on every machine."""


def twice(x: Tensor, y: Tensor | None, factor: int) -> Tensors:
    return x * factor, None if y is None else x + y


def results(recurrence: Recurrence, x_BTD: Tensor, lengths_B: Tensor | None) -> list[Tensor]:
    """Values and gradients."""
    x_BTD = x_BTD.clone().requires_grad_()
    y_BTH, state = recurrence(x_BTD, None, lengths_B)
    loss = y_BTH.square().sum() + sum(part.sin().sum() for part in state)
    return [y_BTH, *state, *torch.autograd.grad(loss, [x_BTD, *recurrence.parameters()])]


@pytest.mark.parametrize("lengths", [None, [6, 2, 0]])
@pytest.mark.parametrize("case", LOOPS, ids=str)
def test_replayed_loops_are_the_loops(
    case: Case, lengths: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recurrence, lengths_B = case.build(), None if lengths is None else torch.tensor(lengths)
    inputs = [torch.randn(3, 6, INPUT_SIZE, dtype=torch.float64) for _ in range(3)]
    expected = [results(recurrence, x_BTD, lengths_B) for x_BTD in inputs]
    replays = GraphCache(Remembered, record_at_call=1)
    replay_on_cpu(monkeypatch, replays)
    found = [results(recurrence, x_BTD, lengths_B) for x_BTD in inputs]
    assert len(replays) == 2, "one graph forward, one backward, for all three batches"
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_later_forward_leaves_what_an_earlier_one_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    replay_on_cpu(monkeypatch, GraphCache(Remembered, record_at_call=1))
    gru = next(combinations("gru")).build()
    first_BTD, second_BTD = (torch.randn(3, 6, INPUT_SIZE).double() for _ in range(2))
    wanted = []
    for x_BTD in (first_BTD, second_BTD):
        gru.zero_grad()
        gru(x_BTD)[0].square().sum().backward()
        wanted.append([torch.as_tensor(p.grad).clone() for p in gru.parameters()])
    losses = [gru(x_BTD)[0].square().sum() for x_BTD in (first_BTD, second_BTD)]
    for loss, gradients in zip(losses, wanted, strict=True):
        gru.zero_grad()
        loss.backward()
        for parameter, gradient in zip(gru.parameters(), gradients, strict=True):
            assert torch.equal(torch.as_tensor(parameter.grad), gradient)


def test_gradients_add_up_over_layers_that_share_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    gru = next(combinations("gru")).build(hidden_size=INPUT_SIZE)
    x_BTD = torch.randn(3, 6, INPUT_SIZE).double()

    def gradients() -> list[Tensor]:
        gru.zero_grad()
        gru(gru(x_BTD)[0])[0].square().sum().backward()
        return [torch.as_tensor(parameter.grad).clone() for parameter in gru.parameters()]

    expected, replays = gradients(), GraphCache(Remembered, record_at_call=1)
    replay_on_cpu(monkeypatch, replays)
    torch.testing.assert_close(gradients(), expected, rtol=0, atol=0)
    assert len(replays) == 2


def test_a_recording_begins_at_the_third_sighting_of_its_shapes() -> None:
    replays, x = GraphCache(Remembered, record_at_call=3), torch.ones(9, 2)
    for number, kept in enumerate((0, 0, 1, 1), start=1):
        product, none = replays(twice, (number * x, None), (3,))
        assert torch.equal(torch.as_tensor(product), 3.0 * number * x)
        assert none is None
        assert len(replays) == kept


@pytest.mark.parametrize(
    ("tensors", "options"),
    [
        ((torch.ones(9, 3), None), (3,)),
        ((torch.ones(9, 2).double(), None), (3,)),
        ((torch.ones(9, 2), torch.ones(9, 2)), (3,)),
        ((torch.ones(9, 2), None), (4,)),
    ],
    ids=["shape", "type", "one-more", "option"],
)
def test_other_work_is_another_recording(tensors: Tensors, options: tuple[int, ...]) -> None:
    replays = GraphCache(Remembered, record_at_call=1)
    replays(twice, (torch.ones(9, 2), None), (3,))
    found = replays(twice, tensors, options)
    assert len(replays) == 2
    torch.testing.assert_close(found, twice(*tensors, *options))  # type: ignore[arg-type]


def test_strides_are_no_part_of_the_work() -> None:
    replays, x = GraphCache(Remembered, record_at_call=1), torch.arange(18.0).view(9, 2)
    replays(twice, (torch.ones(9, 2), None), (3,))
    for given in (x, x.t().contiguous().t(), x[:1].expand(9, 2)):
        assert torch.equal(torch.as_tensor(replays(twice, (given, None), (3,))[0]), 3 * given)
    assert len(replays) == 1


def meet(replays: GraphCache, size: int) -> None:
    replays(twice, (torch.ones(9, size), None), (3,))


def test_graphs_are_bounded_and_ragged_shapes_do_not_drive_out_used_ones() -> None:
    replays = GraphCache(Remembered, record_at_call=1, capacity=2, max_idle_calls=5)
    recorded = list[Remembered]()

    def record(function: Callable[[], Tensors], device: torch.device) -> Remembered:
        recorded.append(Remembered(function, device))
        return recorded[-1]

    replays.record = record
    for size in (1, 2, 3, 4, 1, 2, 3, 4):
        meet(replays, size)
    assert (len(replays), len(recorded)) == (2, 2)
    for _ in range(6):
        meet(replays, 1)
    meet(replays, 3)  # takes the place of 2, which nobody has used for a while
    meet(replays, 1)
    assert (len(replays), len(recorded)) == (2, 3)
    meet(replays, 3)
    assert len(recorded) == 3


def test_what_is_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MAX_COUNTED_KEYS", 4)
    replays = GraphCache(Remembered, record_at_call=2)
    for size in (1, 2, 3, 4, 5, 1):
        meet(replays, size)
    assert len(replays) == 0, "the first sighting of 1 was forgotten"
    meet(replays, 1)
    assert len(replays) == 1


def test_what_cannot_be_recorded_runs_without_and_says_so_once() -> None:
    def refuse(*_: object) -> Remembered:
        raise RuntimeError("operation not permitted when stream is capturing")

    replays = GraphCache(refuse, record_at_call=1)
    with pytest.warns(UserWarning, match="cannot be recorded as a CUDA graph.*not permitted"):
        meet(replays, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meet(replays, 1)
        assert torch.equal(
            torch.as_tensor(replays(twice, (torch.ones(9, 2), None), (3,))[0]),
            torch.full((9, 2), 3.0),
        )


def test_short_loops_and_other_devices_are_not_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    replays = GraphCache(Remembered, record_at_call=1)
    monkeypatch.setattr(cuda_graphs, "GRAPHS", replays)
    replay(twice, torch.ones(9, 2), None, options=(3,))
    assert len(replays) == 0
    monkeypatch.setattr(cuda_graphs, "REPLAYED_ON", {"cpu"})
    replay(twice, torch.ones(cuda_graphs.MIN_STEPS - 1, 2), None, options=(3,))
    assert len(replays) == 0
    replay(twice, torch.ones(cuda_graphs.MIN_STEPS, 2), None, options=(3,))
    assert len(replays) == 1


@pytest.mark.parametrize("sightings", [1, 2])
def test_inference_and_training_share_recordings(
    sightings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gru = next(combinations("gru")).build()
    x_BTD = torch.randn(3, 6, INPUT_SIZE).double()
    expected = results(gru, x_BTD, None)
    replay_on_cpu(monkeypatch, GraphCache(Remembered, record_at_call=sightings))
    with torch.inference_mode():
        y_BTH, _ = gru(x_BTD)
    torch.testing.assert_close(y_BTH, expected[0], rtol=0, atol=0)
    torch.testing.assert_close(results(gru, x_BTD, None), expected, rtol=0, atol=0)
