"""Fast exact forms of the LSTM's equations (1-6), numbered as in `lstm.py`.

`native_scan` is the library's kernel, for separate gates without peepholes. `LSTMLoop` has a
hand-written backward, one product of all steps for each weight's gradient. It covers the variants;
the plain LSTM where products may round their factors, which the kernel never does (0.7 of its
time); and the convolutional LSTM, whose rows are the places of images. On CUDA its steps are fused
kernels where Triton is, and all of them one graph.

Shapes: B batch, T time, D input, H hidden, G stacked gates [i] f g o, Q peepholes [i] f o.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bench.models.fast import lstm_steps
from bench.models.fast.cuda_graphs import replayed
from bench.models.fast.fusion import fuses
from bench.models.fast.recurrent_product import Grid

# Added to a gate it leaves exactly 0 or 1 of the sigmoid in every floating-point type.
SATURATED = 1e4


def native_scan(
    x_BTD: Tensor,
    h_BH: Tensor,
    c_BH: Tensor,
    weights: tuple[Tensor, Tensor, Tensor],
    valid_BT: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """h_BTH after every step and c_BH after each row's last valid one; weights are W, U, b.

    The kernel yields the last cell only. So padding becomes one more input, which shuts i and
    opens f: the cell then stays what it was through the padding, and so does its gradient.
    """
    W_GD, U_GH, b_G = weights
    if valid_BT is not None:
        x_BTD = torch.cat([x_BTD, (~valid_BT).unsqueeze(2).to(x_BTD.dtype)], dim=2)
        shut_4 = W_GD.new_tensor([-SATURATED, SATURATED, 0.0, 0.0])
        column_G1 = shut_4.repeat_interleave(h_BH.shape[1]).unsqueeze(1)
        W_GD = torch.cat([W_GD, column_G1], dim=1)
    state = tuple(part.to(W_GD).unsqueeze(0).contiguous() for part in (h_BH, c_BH))
    flat = [W_GD, U_GH, b_G, torch.zeros_like(b_G)]
    h_BTH, _, c_1BH = torch.lstm(x_BTD, state, flat, True, 1, 0.0, True, False, True)
    return h_BTH, c_1BH.squeeze(0)


def kernel_serves(x: Tensor) -> bool:
    """Whether the library's kernel computes what is asked for: it does not round factors, and on a
    CPU it has no float16."""
    if x.device.type != "cpu":
        return True
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return dtype != torch.float16 and not rounds_factors(x)


def rounds_factors(x: Tensor) -> bool:
    """Whether float32 products are those of factors rounded to bfloat16, by units made for them."""
    if x.device.type != "cpu" or not torch.cpu._is_amx_tile_supported():
        return False
    return str(torch.backends.mkldnn.matmul.fp32_precision) == "bf16"  # type: ignore[attr-defined]


class LSTMLoop(torch.autograd.Function):
    """h_TBH, c_TBH from the input's share a_TBG of the gates' arguments.

    The peepholes P are None, [Q] (diagonal) or [Q, H] (full). With a grid, U is a convolution's
    [G, H, K, K], and rows are places as in `bench.models.fast.recurrent_product`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        a_TBG: Tensor,
        U: Tensor,
        P: Tensor | None,
        h_BH: Tensor,
        c_BH: Tensor,
        grid: Grid | None = None,
    ) -> tuple[Tensor | None, ...]:
        ctx.steps, ctx.grid = steps_for(a_TBG, P), grid
        given = U, P, h_BH, c_BH
        found = replayed(ctx.steps.forward_steps, a_TBG, *given, options=(grid,))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*found, *given)
        _, h_TBH, c_TBH, _ = found
        return h_TBH, c_TBH

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, grad_h: Tensor | None, grad_c: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        given = *ctx.saved_tensors, grad_h, grad_c
        return *replayed(ctx.steps.backward_steps, *given, options=(ctx.grid,)), None


def steps_for(a: Tensor, P: Tensor | None) -> ModuleType:
    """The module whose steps are fastest; a full peephole is a product and no kernel's work."""
    if (P is None or P.dim() == 1) and fuses(a):
        from bench.models.fast import lstm_triton

        return lstm_triton
    return lstm_steps
