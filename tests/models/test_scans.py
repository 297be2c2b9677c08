"""The hand-written loops, piece by piece.

Shapes: B batch, T time, D input, H hidden, C context, O fed-back output.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.layers.products import products_as
from bench.models.fast.decay import BLOCK_LENGTH, decayed_sum
from bench.models.fast.elman_scan import ElmanLoop, Nonlinearity, elman_scan, native_scan
from bench.models.fast.gru_scan import GRULoop
from bench.models.fast.jordan_scan import JordanLoop
from bench.models.fast.lstm_scan import LSTMLoop, rounds_factors
from bench.models.lstm import LSTM

T, B, H, O = 3, 2, 2, 3  # noqa: E741


def leaf(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def gradcheck(function: Callable[..., Tensor | tuple[Tensor, ...]], *inputs: Tensor) -> None:
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize("nonlinearity", ["sigmoid", "tanh", "relu"])
def test_elman_gradient(nonlinearity: Nonlinearity) -> None:
    torch.manual_seed(1)

    def run(a: Tensor, R: Tensor, h: Tensor) -> Tensor:
        # The loop overwrites its first argument, which gradcheck uses again.
        out: Tensor = ElmanLoop.apply(a.clone(), R, h, nonlinearity)  # type: ignore[no-untyped-call]
        return out

    gradcheck(run, leaf(T, B, H), leaf(H, H), leaf(B, H))


def test_gru_gradient() -> None:
    torch.manual_seed(1)
    gradcheck(GRULoop.apply, leaf(T, B, 3 * H), leaf(3 * H, H), leaf(B, H))


@pytest.mark.parametrize("num_gates", [4, 3])
@pytest.mark.parametrize("peephole", ["none", "diagonal", "full"])
def test_lstm_gradient(num_gates: int, peephole: str) -> None:
    torch.manual_seed(1)
    num_peepholes = (num_gates - 1) * H
    peepholes = {"none": [], "diagonal": [leaf(num_peepholes)], "full": [leaf(num_peepholes, H)]}

    def run(a: Tensor, U: Tensor, h: Tensor, c: Tensor, P: Tensor | None = None) -> Tensor:
        h_and_c: tuple[Tensor, ...] = LSTMLoop.apply(a, U, P, h, c)  # type: ignore[no-untyped-call]
        return torch.cat(h_and_c)

    state = leaf(B, H), leaf(B, H)
    gradcheck(run, leaf(T, B, num_gates * H), leaf(num_gates * H, H), *state, *peepholes[peephole])


@pytest.mark.parametrize("feedback", ["sigmoid", "tanh"])
def test_jordan_gradient(feedback: Nonlinearity) -> None:
    torch.manual_seed(1)

    def run(*inputs: Tensor) -> Tensor:
        h_and_o: tuple[Tensor, ...] = JordanLoop.apply(*inputs, feedback)  # type: ignore[no-untyped-call]
        return torch.cat(h_and_o, dim=2)

    gradcheck(run, leaf(T, B, H), leaf(H, O), leaf(O, H), leaf(O), leaf(B, O))


@pytest.mark.parametrize("bias", ["none", "hidden"])
@pytest.mark.parametrize("nonlinearity", ["sigmoid", "tanh", "relu"])
def test_native_kernel_agrees_with_the_loop(nonlinearity: Nonlinearity, bias: str) -> None:
    torch.manual_seed(1)
    inputs = leaf(B, 6, 5), leaf(B, H), leaf(H, 5), leaf(H, H)
    b_H = leaf(H) if bias == "hidden" else None
    sources = [*inputs, *([] if b_H is None else [b_H])]
    results = []
    for scan in (elman_scan, native_scan):
        h_BTH = scan(*inputs, b_H, nonlinearity)
        weight = torch.arange(h_BTH.numel(), dtype=h_BTH.dtype).view(h_BTH.shape)
        results.append((h_BTH, *torch.autograd.grad((h_BTH * weight).sum(), sources)))
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("num_steps", [1, BLOCK_LENGTH, BLOCK_LENGTH + 1, 5 * BLOCK_LENGTH])
@pytest.mark.parametrize("learned", ["fixed", "learned"])
def test_decayed_sum_is_the_recurrence(num_steps: int, learned: str) -> None:
    torch.manual_seed(1)
    u_TBC, s_BC = leaf(num_steps, B, 3), leaf(B, 3)
    alpha_C = torch.tensor([1e-3, 0.5, 0.999], dtype=torch.float64, requires_grad=True)
    alpha = alpha_C if learned == "learned" else 0.95
    sums, s = [], s_BC
    for u_BC in u_TBC:
        s = u_BC + alpha * s
        sums.append(s)
    sources = [u_TBC, s_BC, *([alpha_C] if learned == "learned" else [])]
    weight = torch.randn(num_steps, B, 3, dtype=torch.float64)
    results = [
        (s_TBC.detach(), *torch.autograd.grad((s_TBC * weight).sum(), sources))
        for s_TBC in (decayed_sum(u_TBC, s_BC, alpha), torch.stack(sums))
    ]
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-10)


def test_decayed_sum_stays_finite_over_long_sequences() -> None:
    s_TBC = decayed_sum(torch.ones(20_000, 1, 1), torch.zeros(1, 1), 0.05)
    torch.testing.assert_close(s_TBC[1000:], torch.full((19_000, 1, 1), 1 / 0.95))


@pytest.mark.parametrize("lengths", [None, [4, 1]])
def test_an_lstm_is_the_same_where_factors_may_be_rounded(
    lengths: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    lstm = LSTM(3, hidden_size=5).double()
    x_BTD, lengths_B = leaf(B, 4, 3), None if lengths is None else torch.tensor(lengths)
    found = []
    for rounds in (False, True):
        rounding = "bench.models.fast.lstm_scan.rounds_factors"
        monkeypatch.setattr(rounding, lambda _, rounds=rounds: rounds)
        y_BTH, state = lstm(x_BTD, None, lengths_B)
        loss = y_BTH.square().sum() + sum(part.sin().sum() for part in state)
        found.append([y_BTH, *state, *torch.autograd.grad(loss, [x_BTD, *lstm.parameters()])])
    for kernel, loop in zip(*found, strict=True):
        torch.testing.assert_close(loop, kernel, rtol=0, atol=1e-12)


def test_factors_are_rounded_where_products_are_bfloat16() -> None:
    has_units = torch.cpu._is_amx_tile_supported()
    x = torch.zeros(1)
    assert not rounds_factors(x)
    with products_as("bfloat16", x.device):
        assert rounds_factors(x) == has_units
    assert not rounds_factors(x)
