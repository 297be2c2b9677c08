"""Steps of `lstm_scan` with one fused kernel a step beside the product.

Equations (1-6) are numbered as in `lstm.py`; peepholes are none or diagonal. Importing this file
needs Triton. Not yet measured on a GPU; tested by Triton's interpreter.

Shapes: B batch, T time, H hidden, G stacked gates [i] f g o, Q peepholes [i] f o. A kernel works on
the B H cells; of a row of G the first gate is i, or f where coupled.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from bench.models.fast.lstm_scan import peephole_gradient, product_with
from bench.models.fast.recurrent_product import Grid
from bench.models.fast.triton_functions import LAUNCH, num_blocks, read, tanh


@triton.jit
def _forward(
    gates, past_c, P, h, c, tanh_c, num_cells, H,
    NUM_GATES: tl.constexpr, PEEPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gates from their arguments, in place, then the cell and its output."""
    cell = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = cell < num_cells
    unit = cell % H
    at_f = cell // H * (NUM_GATES * H) + unit + (NUM_GATES - 3) * H
    of_f = unit + (NUM_GATES - 3) * H
    past = read(past_c, cell, inside)
    a_f, a_o = read(gates, at_f, inside), read(gates, at_f + 2 * H, inside)
    if PEEPS:
        a_f += read(P, of_f, inside) * past
    f, g = tl.sigmoid(a_f), tanh(read(gates, at_f + H, inside))  # (2, 3)
    if NUM_GATES == 4:
        a_i = read(gates, at_f - H, inside)
        if PEEPS:
            a_i += read(P, unit, inside) * past
        i = tl.sigmoid(a_i)  # (1)
        tl.store(gates + at_f - H, i, mask=inside)
        now = f * past + i * g  # (4)
    else:
        now = g + f * (past - g)
    if PEEPS:
        a_o += read(P, of_f + H, inside) * now
    o, shown = tl.sigmoid(a_o), tanh(now)  # (5)
    tl.store(gates + at_f, f, mask=inside)
    tl.store(gates + at_f + H, g, mask=inside)
    tl.store(gates + at_f + 2 * H, o, mask=inside)
    tl.store(c + cell, now, mask=inside)
    tl.store(tanh_c + cell, shown, mask=inside)
    tl.store(h + cell, o * shown, mask=inside)  # (6)


@triton.jit
def _backward(
    gates, past_c, tanh_c, P, grad_h, grad_c, dh, dc, da, num_cells, H,
    NUM_GATES: tl.constexpr, PEEPS: tl.constexpr,
    GIVES_H: tl.constexpr, GIVES_C: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of the gates' arguments; dh and dc come from the step after, dc is updated."""
    cell = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = cell < num_cells
    unit = cell % H
    at_f = cell // H * (NUM_GATES * H) + unit + (NUM_GATES - 3) * H
    of_f = unit + (NUM_GATES - 3) * H
    past, shown = read(past_c, cell, inside), read(tanh_c, cell, inside)
    f, g = read(gates, at_f, inside), read(gates, at_f + H, inside)
    o = read(gates, at_f + 2 * H, inside)
    by_h, by_c = read(dh, cell, inside), read(dc, cell, inside)
    if GIVES_H:
        by_h += read(grad_h, cell, inside)
    if GIVES_C:
        by_c += read(grad_c, cell, inside)
    d_o = by_h * shown * o * (1.0 - o)  # through (6, 5)
    by_c += by_h * o * (1.0 - shown * shown)
    if PEEPS:
        by_c += d_o * read(P, of_f + H, inside)
    before = by_c * f
    if NUM_GATES == 4:  # through (4)
        i = read(gates, at_f - H, inside)
        d_i, d_f = by_c * g * i * (1.0 - i), by_c * past * f * (1.0 - f)
        d_g = by_c * i * (1.0 - g * g)
        tl.store(da + at_f - H, d_i, mask=inside)
        if PEEPS:
            before += d_i * read(P, unit, inside)
    else:
        d_f, d_g = by_c * (past - g) * f * (1.0 - f), by_c * (1.0 - f) * (1.0 - g * g)
    if PEEPS:
        before += d_f * read(P, of_f, inside)
    tl.store(da + at_f, d_f, mask=inside)
    tl.store(da + at_f + H, d_g, mask=inside)
    tl.store(da + at_f + 2 * H, d_o, mask=inside)
    tl.store(dc + cell, before, mask=inside)


def forward_steps(
    a_TBG: Tensor, U: Tensor, P: Tensor | None, h_BH: Tensor, c_BH: Tensor, grid: Grid | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """gates_TBG, h_TBH, c_TBH and tanh(c) from the input terms of the gates' arguments."""
    gates_TBG = torch.empty_like(a_TBG, memory_format=torch.contiguous_format)
    T, B, H = len(a_TBG), *h_BH.shape
    h_TBH, c_TBH, tanh_c_TBH = a_TBG.new_empty(3, T, B, H).unbind(0)
    past_h, past_c, product = h_BH, c_BH.contiguous(), product_with(U, grid)
    P = None if P is None else P.contiguous()
    kernel = _forward[num_blocks(B * H)]
    kinds = {"NUM_GATES": a_TBG.shape[2] // H, "PEEPS": P is not None, **LAUNCH}
    sequences = (a_TBG, gates_TBG, h_TBH, c_TBH, tanh_c_TBH)
    for step in zip(*(sequence.unbind(0) for sequence in sequences), strict=True):
        a_BG, gates_BG, h, c, tanh_c = step
        product.add(a_BG, past_h, out=gates_BG)
        # A kernel without peepholes takes any pointer for P.
        weights = gates_BG if P is None else P
        kernel(gates_BG, past_c, weights, h, c, tanh_c, B * H, H, **kinds)
        past_h, past_c = h, c
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
    B, H = h_BH.shape
    product = product_with(U, grid)
    past_c_TBH = torch.cat([c_BH.unsqueeze(0), c_TBH[:-1]])
    dh, dc = (torch.zeros(B, H, dtype=U.dtype, device=U.device) for _ in range(2))
    da_TBG = torch.empty_like(gates_TBG)
    # As above, any pointer does for what is not given.
    weights = gates_TBG if P is None else P.contiguous()
    given = [gates_TBG if grad is None else grad.contiguous() for grad in (grad_h, grad_c)]
    kernel = _backward[num_blocks(B * H)]
    kinds = {"NUM_GATES": gates_TBG.shape[2] // H, "PEEPS": P is not None, **LAUNCH}
    kinds |= {"GIVES_H": grad_h is not None, "GIVES_C": grad_c is not None}
    for t in range(len(gates_TBG) - 1, -1, -1):
        values = gates_TBG[t], past_c_TBH[t], tanh_c_TBH[t], weights
        gradients = given[0][t], given[1][t], dh, dc, da_TBG[t]
        kernel(*values, *gradients, B * H, H, **kinds)
        product.back(da_TBG[t], out=dh)
    dU = product.weight_gradient(da_TBG, torch.cat([h_BH.unsqueeze(0), h_TBH[:-1]]))
    return da_TBG, dU, peephole_gradient(da_TBG, past_c_TBH, c_TBH, P), dh, dc
