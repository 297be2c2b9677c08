"""Steps of `gru_scan` with a fused kernel after each of a step's two products.

Equations (1-4) are numbered as in `gru.py`, with a reset before the product. Importing this file
needs Triton. Not yet measured on a GPU; tested by Triton's interpreter.

Shapes: B batch, T time, H hidden, G = 3H stacked r, z, h~. A kernel works on the B H units.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from bench.models.fast.gru_scan import cut, weight_gradient
from bench.models.fast.triton_functions import LAUNCH, num_blocks, read, tanh


@triton.jit
def _gates(gates, past_h, reset, num_units, H, BLOCK: tl.constexpr):
    """r and z from their arguments, in place, and r . h."""
    unit = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < num_units
    at_r = unit // H * (3 * H) + unit % H
    r = tl.sigmoid(read(gates, at_r, inside))  # (1)
    z = tl.sigmoid(read(gates, at_r + H, inside))  # (2)
    tl.store(gates + at_r, r, mask=inside)
    tl.store(gates + at_r + H, z, mask=inside)
    tl.store(reset + unit, r * read(past_h, unit, inside), mask=inside)


@triton.jit
def _mix(gates, past_h, h, num_units, H, BLOCK: tl.constexpr):
    """h~ from its argument, in place, and the new h."""
    unit = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < num_units
    at_r = unit // H * (3 * H) + unit % H
    candidate = tanh(read(gates, at_r + 2 * H, inside))  # (3)
    past, z = read(past_h, unit, inside), read(gates, at_r + H, inside)
    tl.store(gates + at_r + 2 * H, candidate, mask=inside)
    tl.store(h + unit, past + z * (candidate - past), mask=inside)  # (4)


@triton.jit
def _through_mix(gates, past_h, grad, dh, da, num_units, H, BLOCK: tl.constexpr):
    """Gradients of the arguments of z and h~; dh comes from the step after, and grad is added."""
    unit = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < num_units
    at_r = unit // H * (3 * H) + unit % H
    by_h = read(dh, unit, inside) + read(grad, unit, inside)
    z, candidate = read(gates, at_r + H, inside), read(gates, at_r + 2 * H, inside)
    past = read(past_h, unit, inside)
    tl.store(dh + unit, by_h, mask=inside)
    tl.store(da + at_r + H, by_h * (candidate - past) * z * (1.0 - z), mask=inside)
    tl.store(da + at_r + 2 * H, by_h * z * (1.0 - candidate * candidate), mask=inside)


@triton.jit
def _through_gates(gates, past_h, d_reset, dh, da, num_units, H, BLOCK: tl.constexpr):
    """Gradient of the argument of r, and dh except for the paths through r and z."""
    unit = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < num_units
    at_r = unit // H * (3 * H) + unit % H
    r, z = read(gates, at_r, inside), read(gates, at_r + H, inside)
    by_reset, by_h = read(d_reset, unit, inside), read(dh, unit, inside)
    tl.store(da + at_r, by_reset * read(past_h, unit, inside) * r * (1.0 - r), mask=inside)
    tl.store(dh + unit, by_h * (1.0 - z) + by_reset * r, mask=inside)


def forward_steps(a_TBG: Tensor, U_GH: Tensor, h_BH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """gates_TBG, h_TBH and r . h from the input terms of the gates' arguments."""
    B, H = h_BH.shape
    gates_TBG = torch.empty_like(a_TBG, memory_format=torch.contiguous_format)
    h_TBH, reset_TBH = a_TBG.new_empty(2, *a_TBG.shape[:2], H).unbind(0)
    U_rz, U = U_GH[: 2 * H].t(), U_GH[2 * H :].t()
    sizes, blocks = (B * H, H), num_blocks(B * H)
    sequences = (*cut(a_TBG, H), gates_TBG, *cut(gates_TBG, H), reset_TBH, h_TBH)
    past = h_BH.contiguous()
    for step in zip(*(sequence.unbind(0) for sequence in sequences), strict=True):
        a_rz, a, gates, rz, candidate, reset, h = step
        torch.addmm(a_rz, past, U_rz, out=rz)
        _gates[blocks](gates, past, reset, *sizes, **LAUNCH)
        torch.addmm(a, reset, U, out=candidate)
        _mix[blocks](gates, past, h, *sizes, **LAUNCH)
        past = h
    return gates_TBG, h_TBH, reset_TBH


def backward_steps(
    gates_TBG: Tensor, h_TBH: Tensor, reset_TBH: Tensor, U_GH: Tensor, h_BH: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a_TBG, U_GH and h_BH."""
    B, H = h_BH.shape
    past_TBH = torch.cat([h_BH.unsqueeze(0), h_TBH[:-1]])
    da_TBG, grad_TBH = torch.empty_like(gates_TBG), grad.contiguous()
    d_rz_TB2H, d_TBH = cut(da_TBG, H)
    U_rz, U = U_GH[: 2 * H], U_GH[2 * H :]
    dh = torch.zeros(B, H, dtype=U.dtype, device=U.device)
    d_reset = torch.empty_like(dh)
    sizes, blocks = (B * H, H), num_blocks(B * H)
    for t in range(len(gates_TBG) - 1, -1, -1):
        values, da = (gates_TBG[t], past_TBH[t]), da_TBG[t]
        _through_mix[blocks](*values, grad_TBH[t], dh, da, *sizes, **LAUNCH)
        torch.mm(d_TBH[t], U, out=d_reset)
        _through_gates[blocks](*values, d_reset, dh, da, *sizes, **LAUNCH)
        dh.addmm_(d_rz_TB2H[t], U_rz)
    return da_TBG, weight_gradient(da_TBG, past_TBH, reset_TBH), dh
