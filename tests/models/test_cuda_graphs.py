"""Replayed loops equal loops that run, whatever was replayed in between."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from recurrence_cases import INPUT_SIZE, Case, combinations
from remembered import remember, replay_on_cpu
from torch import Tensor

from bench.models.fast import cuda_graphs
from bench.models.fast.cuda_graphs import GraphCache, Recording, Tensors, replay
from bench.models.recurrence import Recurrence

LOOPS = [
    case
    for name in ("lstm", "gru", "jordan", "conv-lstm")
    for case in combinations(name)
    if case.options[-1] != ("reset", "after") and str(case) != "lstm-none-separate"
]
"""Recurrences that are loops of small products on every machine."""


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
    graphs = GraphCache(remember, record_at_call=1)
    replay_on_cpu(monkeypatch, graphs)
    found = [results(recurrence, x_BTD, lengths_B) for x_BTD in inputs]
    assert len(graphs) == 2, "one graph forward, one backward, for all three batches"
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_later_forward_leaves_what_an_earlier_one_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    replay_on_cpu(monkeypatch, GraphCache(remember, record_at_call=1))
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

    expected, graphs = gradients(), GraphCache(remember, record_at_call=1)
    replay_on_cpu(monkeypatch, graphs)
    torch.testing.assert_close(gradients(), expected, rtol=0, atol=0)
    assert len(graphs) == 2


def test_a_graph_is_recorded_at_the_third_call_with_its_shapes() -> None:
    graphs, x = GraphCache(remember, record_at_call=3), torch.ones(9, 2)
    for number, kept in enumerate((0, 0, 1, 1), start=1):
        product, none = graphs(twice, (number * x, None), (3,))
        assert torch.equal(torch.as_tensor(product), 3.0 * number * x)
        assert none is None
        assert len(graphs) == kept


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
    graphs = GraphCache(remember, record_at_call=1)
    graphs(twice, (torch.ones(9, 2), None), (3,))
    found = graphs(twice, tensors, options)
    assert len(graphs) == 2
    torch.testing.assert_close(found, twice(*tensors, *options))  # type: ignore[arg-type]


def test_strides_are_no_part_of_the_work() -> None:
    graphs, x = GraphCache(remember, record_at_call=1), torch.arange(18.0).view(9, 2)
    graphs(twice, (torch.ones(9, 2), None), (3,))
    for given in (x, x.t().contiguous().t(), x[:1].expand(9, 2)):
        assert torch.equal(torch.as_tensor(graphs(twice, (given, None), (3,))[0]), 3 * given)
    assert len(graphs) == 1


def meet(graphs: GraphCache, size: int) -> None:
    graphs(twice, (torch.ones(9, size), None), (3,))


def test_graphs_are_bounded_and_ragged_shapes_do_not_drive_out_used_ones() -> None:
    graphs = GraphCache(remember, record_at_call=1, capacity=2, max_idle_calls=5)
    recorded = list[Recording]()

    def record(function: Callable[[], Tensors], device: torch.device) -> Recording:
        recorded.append(remember(function, device))
        return recorded[-1]

    graphs.record = record
    for size in (1, 2, 3, 4, 1, 2, 3, 4):
        meet(graphs, size)
    assert (len(graphs), len(recorded)) == (2, 2)
    for _ in range(6):
        meet(graphs, 1)
    meet(graphs, 3)  # takes the place of 2, which nobody has used for a while
    meet(graphs, 1)
    assert (len(graphs), len(recorded)) == (2, 3)
    meet(graphs, 3)
    assert len(recorded) == 3


def test_counted_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MAX_COUNTED_KEYS", 4)
    graphs = GraphCache(remember, record_at_call=2)
    for size in (1, 2, 3, 4, 5, 1):
        meet(graphs, size)
    assert len(graphs) == 0, "the first call with 1 was forgotten"
    meet(graphs, 1)
    assert len(graphs) == 1


def test_functions_that_cannot_be_recorded_run_without_after_one_warning() -> None:
    def refuse(*_: object) -> Recording:
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = GraphCache(refuse, record_at_call=1)
    with pytest.warns(UserWarning, match="cannot be recorded as a CUDA graph.*not permitted"):
        meet(graphs, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meet(graphs, 1)
        assert torch.equal(
            torch.as_tensor(graphs(twice, (torch.ones(9, 2), None), (3,))[0]),
            torch.full((9, 2), 3.0),
        )


def test_short_loops_and_other_devices_are_not_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = GraphCache(remember, record_at_call=1)
    monkeypatch.setattr(cuda_graphs, "GRAPHS", graphs)
    replay(twice, torch.ones(9, 2), None, options=(3,))
    assert len(graphs) == 0
    monkeypatch.setattr(cuda_graphs, "REPLAYED_ON", {"cpu"})
    replay(twice, torch.ones(cuda_graphs.MIN_STEPS - 1, 2), None, options=(3,))
    assert len(graphs) == 0
    replay(twice, torch.ones(cuda_graphs.MIN_STEPS, 2), None, options=(3,))
    assert len(graphs) == 1


@pytest.mark.parametrize("sightings", [1, 2])
def test_inference_and_training_share_recordings(
    sightings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gru = next(combinations("gru")).build()
    x_BTD = torch.randn(3, 6, INPUT_SIZE).double()
    expected = results(gru, x_BTD, None)
    replay_on_cpu(monkeypatch, GraphCache(remember, record_at_call=sightings))
    with torch.inference_mode():
        y_BTH, _ = gru(x_BTD)
    torch.testing.assert_close(y_BTH, expected[0], rtol=0, atol=0)
    torch.testing.assert_close(results(gru, x_BTD, None), expected, rtol=0, atol=0)
