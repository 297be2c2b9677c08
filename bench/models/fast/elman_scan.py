"""Fast exact forms of h_t = sigma(A x_t + b + R h_{t-1}), for SRN and SCRN.

On CUDA the library's kernel runs it; elsewhere a loop with a hand-written backward, which makes
one product for the gradient of R out of all steps and beats the library's kernel on the CPU.

Shapes: B batch, T time, D input, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Nonlinearity = Literal["sigmoid", "tanh", "relu"]

IN_PLACE: dict[Nonlinearity, Callable[[Tensor], Tensor]] = {
    "sigmoid": Tensor.sigmoid_,
    "tanh": Tensor.tanh_,
    "relu": Tensor.relu_,
}


def elman_scan(
    x_BTD: Tensor,
    h_BH: Tensor,
    A_HD: Tensor,
    R_HH: Tensor,
    b_H: Tensor | None,
    nonlinearity: Nonlinearity,
) -> Tensor:
    """h_BTH after every step, from h_BH before the first."""
    if x_BTD.is_cuda:
        return native_scan(x_BTD, h_BH, A_HD, R_HH, b_H, nonlinearity)
    a_TBH = F.linear(x_BTD.transpose(0, 1).contiguous(), A_HD, b_H)
    arguments = a_TBH, R_HH.to(a_TBH), h_BH.to(a_TBH), nonlinearity
    h_TBH: Tensor = ElmanLoop.apply(*arguments)  # type: ignore[no-untyped-call]
    return h_TBH.transpose(0, 1)


def native_scan(
    x_BTD: Tensor,
    h_BH: Tensor,
    A_HD: Tensor,
    R_HH: Tensor,
    b_H: Tensor | None,
    nonlinearity: Nonlinearity,
) -> Tensor:
    """`elman_scan` by the library's tanh and relu kernels.

    With sigma(a) = (1 + tanh(a / 2)) / 2 and h = (1 + g) / 2, a sigmoid network is the tanh
    network g_t = tanh(A/2 x_t + R/4 g_{t-1} + b/2 + R 1/4).
    """
    bias_H = A_HD.new_zeros(A_HD.shape[0]) if b_H is None else b_H
    if nonlinearity == "sigmoid":
        bias_H = bias_H / 2 + R_HH.sum(1) / 4
        h_BH, A_HD, R_HH = 2 * h_BH - 1, A_HD / 2, R_HH / 4
    kernel = torch.rnn_relu if nonlinearity == "relu" else torch.rnn_tanh
    weights = [A_HD, R_HH, bias_H, torch.zeros_like(bias_H)]
    state_1BH = h_BH.to(A_HD).unsqueeze(0).contiguous()
    h_BTH, _ = kernel(x_BTD, state_1BH, weights, True, 1, 0.0, True, False, True)
    return (1 + h_BTH) / 2 if nonlinearity == "sigmoid" else h_BTH


class ElmanLoop(torch.autograd.Function):
    """h_TBH from the input terms a_TBH of sigma's argument, which it overwrites."""

    @staticmethod
    def forward(
        ctx: Any, a_TBH: Tensor, R_HH: Tensor, h_BH: Tensor, nonlinearity: Nonlinearity
    ) -> Tensor:
        before_BH, R_transposed, sigma_ = h_BH, R_HH.t(), IN_PLACE[nonlinearity]
        for now_BH in a_TBH.unbind(0):
            now_BH.addmm_(before_BH, R_transposed)
            before_BH = sigma_(now_BH)
        ctx.mark_dirty(a_TBH)
        ctx.save_for_backward(a_TBH, R_HH, h_BH)
        ctx.nonlinearity = nonlinearity
        return a_TBH

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_TBH: Tensor) -> tuple[Tensor | None, ...]:
        h_TBH, R_HH, h_BH = ctx.saved_tensors
        da_TBH = slope(h_TBH, ctx.nonlinearity)
        grads, das = grad_TBH.unbind(0), da_TBH.unbind(0)
        das[-1].mul_(grads[-1])
        dh_BH = torch.empty_like(h_BH)
        for t in range(len(das) - 2, -1, -1):
            das[t].mul_(torch.addmm(grads[t], das[t + 1], R_HH, out=dh_BH))
        dR_HH = das[0].t() @ h_BH
        dR_HH.addmm_(da_TBH[1:].flatten(0, 1).t(), h_TBH[:-1].flatten(0, 1))
        return da_TBH, dR_HH, das[0] @ R_HH, None


def slope(h: Tensor, nonlinearity: Nonlinearity) -> Tensor:
    """Derivative of sigma, from its value."""
    if nonlinearity == "sigmoid":
        return h * (1 - h)
    return 1 - h * h if nonlinearity == "tanh" else (h > 0).to(h.dtype)
