"""Every recurrence on a GPU against its plain loop in float64 on the CPU.

A case runs often enough that the last times a recorded graph is replayed, where its path has one.

Shapes: B batch, T time, D input.
"""

from __future__ import annotations

import copy

import pytest
import torch
from recurrence_cases import CASES, INPUT_SIZE, Case
from torch import Tensor

from bench.models.fast import cuda_graphs, fusion
from bench.models.fast.cuda_graphs import MIN_STEPS, GraphCache
from bench.models.recurrence import Recurrence, State

DEVICE = torch.device("cuda")
B, T = 3, 2 * MIN_STEPS
LENGTHS = [None, [T, 5, 0]]
LIMITS = {torch.float64: 1e-10, torch.float32: 2e-4}
NUM_CALLS = cuda_graphs.RECORD_AT_CALL + 2


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> GraphCache:
    """Products of whole factors, and graphs of this test alone."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    graphs = GraphCache()
    monkeypatch.setattr(cuda_graphs, "GRAPHS", graphs)
    return graphs


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


def inputs(recurrence: Recurrence, number: int) -> tuple[Tensor, State]:
    torch.manual_seed(number)
    x_BTD = torch.randn(B, T, INPUT_SIZE, dtype=torch.float64)
    state = tuple(torch.randn_like(part) for part in recurrence.initial_state(B, x_BTD))
    return x_BTD, state


def results(
    recurrence: Recurrence, x_BTD: Tensor, state: State, lengths_B: Tensor | None
) -> list[Tensor]:
    """Values and gradients, in double precision on the CPU; on the CPU by the plain loop."""
    x_BTD = x_BTD.clone().requires_grad_()
    state = tuple(part.clone().requires_grad_() for part in state)
    run = recurrence if x_BTD.is_cuda else recurrence.forward_reference
    y_BTH, after = run(x_BTD, state, lengths_B)
    loss = sum((part * part.detach().cos()).sum() for part in (y_BTH, *after))
    found = [y_BTH, *after]
    found += torch.autograd.grad(loss, [x_BTD, *state, *recurrence.parameters()])
    return [tensor.detach().double().cpu() for tensor in found]


def moved(x_BTD: Tensor, state: State, dtype: torch.dtype) -> tuple[Tensor, State]:
    return x_BTD.to(DEVICE, dtype), tuple(part.to(DEVICE, dtype) for part in state)


@pytest.mark.parametrize("kernels", ["fused", "library"])
@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_values_and_gradients(
    case: Case,
    dtype: torch.dtype,
    lengths: list[int] | None,
    kernels: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kernels == "library":
        monkeypatch.setattr(fusion, "FUSED_ON", set())
    recurrence = case.build(init_scale=0.4)
    on_gpu = copy.deepcopy(recurrence).to(DEVICE, dtype)
    lengths_B = None if lengths is None else torch.tensor(lengths)
    for number in range(NUM_CALLS):
        x_BTD, state = inputs(recurrence, number)
        expected = results(recurrence, x_BTD, state, lengths_B)
        found = results(on_gpu, *moved(x_BTD, state, dtype), lengths_B)
        limit = LIMITS[dtype]
        torch.testing.assert_close(found, expected, rtol=limit, atol=limit)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_bfloat16(case: Case, lengths: list[int] | None) -> None:
    recurrence = case.build(init_scale=0.3)
    on_gpu = copy.deepcopy(recurrence).to(DEVICE, torch.float32)
    lengths_B = None if lengths is None else torch.tensor(lengths)
    for number in range(NUM_CALLS):
        x_BTD, _ = inputs(recurrence, number)
        exact_BTH, _ = recurrence.forward_reference(x_BTD, None, lengths_B)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            y_BTH, _ = on_gpu(x_BTD.to(DEVICE, torch.float32), None, lengths_B)
        y_BTH.float().sum().backward()
        torch.testing.assert_close(y_BTH.double().cpu(), exact_BTH, rtol=0.1, atol=0.1)
    assert all(torch.as_tensor(p.grad).isfinite().all() for p in on_gpu.parameters())


LOOPED = ["lstm-none-coupled", "lstm-full-separate", "gru-before", "jordan-sigmoid"]


@pytest.mark.parametrize("name", [*LOOPED, "lstm-diagonal-separate", "conv-lstm-map"])
def test_loops_are_replayed(name: str, exact: GraphCache) -> None:
    (wanted,) = [case for case in CASES if str(case) == name]
    recurrence = wanted.build().to(DEVICE)
    for number in range(NUM_CALLS):
        results(recurrence, *moved(*inputs(recurrence, number), torch.float64), None)
    assert len(exact) == 2, "a graph forward, a graph backward"


def test_kernels_are_fused_where_triton_is() -> None:
    pytest.importorskip("triton")
    assert fusion.fuses(torch.ones(1, device=DEVICE))


@pytest.mark.parametrize("name", ["lstm-none-separate", "gru-after", "srn-tanh-none-projected"])
def test_the_library_s_kernels_are_taken_where_they_fit(name: str, exact: GraphCache) -> None:
    (wanted,) = [case for case in CASES if str(case) == name]
    recurrence = wanted.build().to(DEVICE)
    x_BTD, state = moved(*inputs(recurrence, 0), torch.float64)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(NUM_CALLS):
            recurrence(x_BTD, state)
    assert len(exact) == 0
    assert any("_cudnn_rnn" in event.key for event in profile.key_averages())


@pytest.mark.parametrize("name", LOOPED)
def test_a_later_forward_leaves_what_an_earlier_one_keeps(name: str) -> None:
    (wanted,) = [case for case in CASES if str(case) == name]
    recurrence = wanted.build().to(DEVICE)
    batches = [moved(*inputs(recurrence, number), torch.float64) for number in range(2)]
    alone = [results(recurrence, *batch, None) for batch in batches for _ in range(NUM_CALLS)]
    losses = [recurrence(*batch)[0].square().sum() for batch in batches]
    together = [torch.autograd.grad(loss, list(recurrence.parameters())) for loss in losses]
    again = [
        torch.autograd.grad(recurrence(*batch)[0].square().sum(), list(recurrence.parameters()))
        for batch in batches
    ]
    assert len(alone) == 2 * NUM_CALLS
    torch.testing.assert_close(together, again, rtol=0, atol=1e-12)
