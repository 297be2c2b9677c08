"""Fast exact forms of the GRU's equations (1-4), numbered as in `gru.py`.

Shapes: B batch, T time, D input, H hidden, G = 3H stacked r, z, h~.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bench.models.fast import gru_steps
from bench.models.fast.cuda_graphs import replayed
from bench.models.fast.fusion import fuses


def native_scan(x_BTD: Tensor, h_BH: Tensor, W_GD: Tensor, U_GH: Tensor, b_G: Tensor) -> Tensor:
    """h_BTH of the GRU that resets after the product, by the library's kernel.

    The library's z is 1 - z of (4), which is the sigmoid of the negated argument.
    """
    H = h_BH.shape[1]
    sign_G = torch.ones_like(b_G)
    sign_G[H : 2 * H] = -1
    W_GD, U_GH, b_G = W_GD * sign_G[:, None], U_GH * sign_G[:, None], b_G * sign_G
    flat = [W_GD, U_GH, b_G, torch.zeros_like(b_G)]
    state_1BH = h_BH.to(W_GD).unsqueeze(0).contiguous()
    h_BTH, _ = torch.gru(x_BTD, state_1BH, flat, True, 1, 0.0, True, False, True)
    return h_BTH


class GRULoop(torch.autograd.Function):
    """h_TBH from the input's share a_TBG of the gates' arguments.

    The backward is written by hand: one product of all steps for each weight's gradient. On CUDA
    the steps are fused kernels where Triton is, and all of them one graph.
    """

    @staticmethod
    def forward(ctx: Any, a_TBG: Tensor, U_GH: Tensor, h_BH: Tensor) -> Tensor | None:
        ctx.steps = steps_for(a_TBG)
        found = replayed(ctx.steps.forward_steps, a_TBG, U_GH, h_BH)
        ctx.save_for_backward(*found, U_GH, h_BH)
        return found[1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_TBH: Tensor) -> tuple[Tensor | None, ...]:
        return replayed(ctx.steps.backward_steps, *ctx.saved_tensors, grad_TBH)


def steps_for(a: Tensor) -> ModuleType:
    """The module whose steps are fastest."""
    if fuses(a):
        from bench.models.fast import gru_triton

        return gru_triton
    return gru_steps
