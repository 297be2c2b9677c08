"""Fast exact forms of the LSTM's equations (1-6), numbered as in `lstm.py`.

`native_scan` is the library's kernel, for separate gates without peepholes. `LSTMLoop` has a
hand-written backward, one product of all steps for each weight's gradient. It covers the variants;
the plain LSTM where products may round their factors, which the kernel never does (0.7 of its
time); and the convolutional LSTM, whose rows are the places of images. The steps of both passes are
functions of tensors alone, so that they can be recorded as CUDA graphs; `lstm_triton` has the same
two with one fused kernel a step.

Shapes: B batch, T time, D input, H hidden, G stacked gates [i] f g o, Q peepholes [i] f o; K = 2 or
1 is the number of gates that see c_{t-1}: i and f, or f alone where coupled.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.models.fast.cuda_graphs import Function, replay
from bench.models.fast.fusion import fuses
from bench.models.fast.recurrent_product import Convolution, Dense, Grid

SATURATED = 1e4
"""Added to a gate's argument it makes the sigmoid exactly 1, subtracted 0, in every float type."""


def native_scan(
    x_BTD: Tensor,
    h_BH: Tensor,
    c_BH: Tensor,
    weights: tuple[Tensor, Tensor, Tensor],
    valid_BT: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """h_BTH after every step and c_BH after each row's last valid one; weights are W, U, b.

    The kernel returns the last cell only. So padding becomes one more input, which closes i and
    opens f: the cell stays the same through the padding, and so does its gradient.
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


def native_kernel_fits(x: Tensor) -> bool:
    """True if the library's kernel has the precision asked for.

    It does not round factors, and on a CPU it has no float16.
    """
    if x.device.type != "cpu":
        return True
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return dtype != torch.float16 and not rounds_factors(x)


def rounds_factors(x: Tensor) -> bool:
    """True if float32 products round their factors to bfloat16, on hardware made for it."""
    if x.device.type != "cpu" or not torch.cpu._is_amx_tile_supported():
        return False
    return str(torch.backends.mkldnn.matmul.fp32_precision) == "bf16"  # type: ignore[attr-defined]


class LSTMLoop(torch.autograd.Function):
    """h_TBH, c_TBH from the input terms a_TBG of the gates' arguments.

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
        forward, ctx.backward_steps = steps_for(a_TBG, P)
        ctx.grid, given = grid, (U, P, h_BH, c_BH)
        found = replay(forward, a_TBG, *given, options=(grid,))
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
        return *replay(ctx.backward_steps, *given, options=(ctx.grid,)), None


def steps_for(a: Tensor, P: Tensor | None) -> tuple[Function, Function]:
    """Fastest forward and backward steps; a full peephole is a product and no kernel's work."""
    if (P is None or P.dim() == 1) and fuses(a):
        from bench.models.fast import lstm_triton

        return lstm_triton.forward_steps, lstm_triton.backward_steps
    return forward_steps, backward_steps


def forward_steps(
    a_TBG: Tensor, U: Tensor, P: Tensor | None, h_BH: Tensor, c_BH: Tensor, grid: Grid | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """gates_TBG, h_TBH, c_TBH and tanh(c) from the input terms of the gates' arguments."""
    gates_TBG = torch.empty_like(a_TBG, memory_format=torch.contiguous_format)
    T, B, H = len(a_TBG), *h_BH.shape
    h_TBH, c_TBH, tanh_c_TBH = a_TBG.new_empty(3, T, B, H).unbind(0)
    first_TBKH, g_TBH, o_TB1H = cut(gates_TBG, H)
    P_first, P_o = (None, None) if P is None else (P[:-H], P[-H:])
    past_h, past_c, product = h_BH, c_BH, product_with(U, grid)
    sequences = (a_TBG, gates_TBG, first_TBKH, g_TBH, o_TB1H, h_TBH, c_TBH, tanh_c_TBH)
    for step in zip(*(sequence.unbind(0) for sequence in sequences), strict=True):
        a_BG, gates_BG, first_BKH, g, o_B1H, h, c, tanh_c = step
        product.add(a_BG, past_h, out=gates_BG)
        *i, f = add_peepholes_(first_BKH, past_c, P_first).sigmoid_().unbind(1)  # (1, 2)
        g.tanh_()  # (3)
        if i:
            torch.mul(f, past_c, out=c).addcmul_(i[0], g)  # (4)
        else:
            torch.lerp(g, past_c, f, out=c)
        o = add_peepholes_(o_B1H, c, P_o).sigmoid_().squeeze(1)  # (5)
        past_h = torch.mul(o, torch.tanh(c, out=tanh_c), out=h)  # (6)
        past_c = c
    return gates_TBG, h_TBH, c_TBH, tanh_c_TBH


def backward_steps(
    gates_TBG: Tensor,
    h_TBH: Tensor,
    c_TBH: Tensor,
    tanh_c_TBH: Tensor,
    U: Tensor,
    P: Tensor | None,
    h_BH: Tensor,
    c_BH: Tensor,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    grid: Grid | None,
) -> tuple[Tensor | None, ...]:
    """Gradients of a_TBG, U, P, h_BH and c_BH."""
    H, product = h_BH.shape[1], product_with(U, grid)
    past_c_TBH = torch.cat([c_BH.unsqueeze(0), c_TBH[:-1]])
    da_TBG = slopes(gates_TBG, past_c_TBH, tanh_c_TBH)
    by_h_TBH = torch.addcmul(gates_TBG[:, :, -H:], h_TBH, tanh_c_TBH, value=-1)  # d h / d c
    first_TBKH, _, o_TB1H = cut(da_TBG, H)
    cell_TBMH = da_TBG[:, :, :-H].view(*first_TBKH.shape[:2], -1, H)
    P_first, P_o = (None, None) if P is None else (P[:-H], P[-H:])
    dh, dc = torch.zeros_like(h_BH), torch.zeros_like(c_BH)
    given = [(to, grad) for to, grad in ((dh, grad_h), (dc, grad_c)) if grad is not None]
    f_TBH = gates_TBG[:, :, -3 * H : -2 * H]
    sequences = (by_h_TBH, f_TBH, da_TBG, first_TBKH, o_TB1H, o_TB1H[:, :, 0], cell_TBMH)
    steps = [*zip(*(sequence.unbind(0) for sequence in sequences), strict=True)]
    for t in range(len(steps) - 1, -1, -1):
        by_h, f, da, da_first, da_o1, da_o, da_cell = steps[t]
        for to, grad in given:
            to.add_(grad[t])
        da_o.mul_(dh)
        add_peephole_gradient_(dc.addcmul_(dh, by_h), da_o1, P_o)
        da_cell.mul_(dc.unsqueeze(1))
        add_peephole_gradient_(dc.mul_(f), da_first, P_first)
        product.back(da, out=dh)
    dU = product.weight_gradient(da_TBG, torch.cat([h_BH.unsqueeze(0), h_TBH[:-1]]))
    return da_TBG, dU, peephole_gradient(da_TBG, past_c_TBH, c_TBH, P), dh, dc


def product_with(U: Tensor, grid: Grid | None) -> Dense | Convolution:
    """Product of U with the hidden state: dense, or a convolution over a grid."""
    return Dense(U) if grid is None else Convolution(U, grid)


def cut(gates_TBG: Tensor, H: int) -> tuple[Tensor, Tensor, Tensor]:
    """Views of the gates that see c_{t-1} [T, B, K, H], of g [T, B, H] and of o [T, B, 1, H]."""
    T, B, _ = gates_TBG.shape
    first_TBKH = gates_TBG[:, :, : -2 * H].view(T, B, -1, H)
    return first_TBKH, gates_TBG[:, :, -2 * H : -H], gates_TBG[:, :, -H:].view(T, B, 1, H)


def slopes(gates_TBG: Tensor, past_c: Tensor, tanh_c: Tensor) -> Tensor:
    """Slopes of all steps [T, B, G]: d h / d a_o by (6), d c / d a of the gates [i] f g by (4)."""
    num_gates = gates_TBG.shape[2] // past_c.shape[2]
    by_TBG = torch.addcmul(gates_TBG, gates_TBG, gates_TBG, value=-1)  # s (1 - s) of sigmoids
    *i, f, g, _ = gates_TBG.chunk(num_gates, dim=2)
    *by_i, by_f, by_g, by_o = by_TBG.chunk(num_gates, dim=2)
    if i:
        by_i[0].mul_(g)
        by_f.mul_(past_c)
        torch.addcmul(i[0], i[0] * g, g, value=-1, out=by_g)
    else:
        by_f.mul_(past_c - g)
        torch.mul(1 - f, 1 - g * g, out=by_g)
    by_o.mul_(tanh_c)
    return by_TBG


def add_peepholes_(gates_BKH: Tensor, c_BH: Tensor, P: Tensor | None) -> Tensor:
    """Add P c to the arguments of K gates."""
    if P is None:
        return gates_BKH
    if P.dim() == 1:
        return gates_BKH.addcmul_(c_BH.unsqueeze(1), P.view(gates_BKH.shape[1:]))
    gates_BKH.flatten(1).addmm_(c_BH, P.t())
    return gates_BKH


def add_peephole_gradient_(dc_BH: Tensor, da_BKH: Tensor, P: Tensor | None) -> None:
    """Add to dc the gradient of K gates through their peepholes."""
    if P is None:
        return
    if P.dim() == 2:
        dc_BH.addmm_(da_BKH.flatten(1), P)
        return
    for da_BH, P_H in zip(da_BKH.unbind(1), P.view(da_BKH.shape[1:]), strict=True):
        dc_BH.addcmul_(da_BH, P_H)


def peephole_gradient(
    da_TBG: Tensor, past_c_TBH: Tensor, c_TBH: Tensor, P: Tensor | None
) -> Tensor | None:
    """Gradient of P, of its own shape."""
    if P is None:
        return None
    first_TBKH, _, o_TB1H = cut(da_TBG, c_TBH.shape[2])
    pairs = [(da, past_c_TBH) for da in first_TBKH.unbind(2)] + [(o_TB1H.squeeze(2), c_TBH)]
    if P.dim() == 1:
        return torch.cat([(da * c).sum((0, 1)) for da, c in pairs])
    return torch.cat([da.flatten(0, 1).t() @ c.flatten(0, 1) for da, c in pairs])
