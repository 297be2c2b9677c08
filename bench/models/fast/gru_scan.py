"""Fast exact forms of the GRU's equations (1-4), numbered as in `gru.py`.

`native_scan` is the library's kernel, for a reset after the product. `GRULoop` resets before it and
has a hand-written backward, one product of all steps for each weight's gradient. The steps of both
passes are functions of tensors alone, so that they can be recorded as CUDA graphs; `gru_triton` has
the same two with fused kernels.

Shapes: B batch, T time, D input, H hidden, G = 3H stacked r, z, h~.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.models.fast.cuda_graphs import Function, replay
from bench.models.fast.fusion import fuses


def native_scan(x_BTD: Tensor, h_BH: Tensor, W_GD: Tensor, U_GH: Tensor, b_G: Tensor) -> Tensor:
    """h_BTH after every step, with a reset after the product.

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
    """h_TBH from the input terms a_TBG of the gates' arguments."""

    @staticmethod
    def forward(ctx: Any, a_TBG: Tensor, U_GH: Tensor, h_BH: Tensor) -> Tensor | None:
        forward, ctx.backward_steps = steps_for(a_TBG)
        found = replay(forward, a_TBG, U_GH, h_BH)
        ctx.save_for_backward(*found, U_GH, h_BH)
        return found[1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_TBH: Tensor) -> tuple[Tensor | None, ...]:
        return replay(ctx.backward_steps, *ctx.saved_tensors, grad_TBH)


def steps_for(a: Tensor) -> tuple[Function, Function]:
    """Fastest forward and backward steps."""
    if fuses(a):
        from bench.models.fast import gru_triton

        return gru_triton.forward_steps, gru_triton.backward_steps
    return forward_steps, backward_steps


def forward_steps(a_TBG: Tensor, U_GH: Tensor, h_BH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """gates_TBG, h_TBH and r . h from the input terms of the gates' arguments."""
    H = h_BH.shape[1]
    gates_TBG = torch.empty_like(a_TBG)
    h_TBH, reset_TBH = a_TBG.new_empty(2, *a_TBG.shape[:2], H).unbind(0)
    U_rz, U = U_GH[: 2 * H].t(), U_GH[2 * H :].t()
    sequences = (*cut(a_TBG, H), *cut(gates_TBG, H), reset_TBH, h_TBH)
    past = h_BH
    for step in zip(*(sequence.unbind(0) for sequence in sequences), strict=True):
        a_rz, a, rz, candidate, reset, h = step
        torch.addmm(a_rz, past, U_rz, out=rz).sigmoid_()  # (1, 2)
        r, z = rz.chunk(2, dim=1)
        torch.addmm(a, torch.mul(r, past, out=reset), U, out=candidate).tanh_()  # (3)
        past = torch.lerp(past, candidate, z, out=h)  # (4)
    return gates_TBG, h_TBH, reset_TBH


def backward_steps(
    gates_TBG: Tensor, h_TBH: Tensor, reset_TBH: Tensor, U_GH: Tensor, h_BH: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a_TBG, U_GH and h_BH."""
    H = h_BH.shape[1]
    r, z, candidate = gates_TBG.chunk(3, dim=2)
    past_TBH = torch.cat([h_BH.unsqueeze(0), h_TBH[:-1]])
    by_r = past_TBH * r * (1 - r)
    by_z = (candidate - past_TBH) * z * (1 - z)
    by_candidate = z * (1 - candidate * candidate)
    da_TBG = torch.empty_like(gates_TBG)
    da_rz, _ = cut(da_TBG, H)
    U_rz, U = U_GH[: 2 * H], U_GH[2 * H :]
    dh, d_reset = torch.zeros_like(h_BH), torch.empty_like(h_BH)
    ins = (grad, by_r, by_z, by_candidate, r, 1 - z)
    outs = (da_rz, *da_TBG.chunk(3, dim=2))
    steps = zip(*(sequence.unbind(0) for sequence in ins + outs), strict=True)
    for grad_t, r_slope, z_slope, slope, r_t, stay, d_rz, dr, dz, d in reversed([*steps]):
        torch.mul(dh.add_(grad_t), z_slope, out=dz)
        torch.mul(dh, slope, out=d)
        torch.mul(torch.mm(d, U, out=d_reset), r_slope, out=dr)
        dh.mul_(stay).addcmul_(d_reset, r_t).addmm_(d_rz, U_rz)
    return da_TBG, weight_gradient(da_TBG, past_TBH, reset_TBH), dh


def cut(gates_TBG: Tensor, H: int) -> tuple[Tensor, Tensor]:
    """Views of r and z, [T, B, 2H], and of h~, [T, B, H]."""
    return gates_TBG[:, :, : 2 * H], gates_TBG[:, :, 2 * H :]


def weight_gradient(da_TBG: Tensor, past_TBH: Tensor, reset_TBH: Tensor) -> Tensor:
    """Gradient of U_GH: r and z read the past, h~ the reset past."""
    da_rz, da_candidate = cut(da_TBG, past_TBH.shape[2])
    dU_rz = da_rz.flatten(0, 1).t() @ past_TBH.flatten(0, 1)
    return torch.cat([dU_rz, da_candidate.flatten(0, 1).t() @ reset_TBH.flatten(0, 1)])
