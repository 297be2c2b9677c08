"""Fast exact form of Jordan's equations (1-2), numbered as in `jordan.py`.

Shapes: B batch, T time, H hidden, O fed-back output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.models.fast.cuda_graphs import replay
from bench.models.fast.elman_scan import IN_PLACE, Nonlinearity, slope


class JordanLoop(torch.autograd.Function):
    """h_TBH, o_TBO from the input terms a_TBH of tanh's argument; `feedback` is f of (2).

    The backward is written by hand: one product of all steps for each weight's gradient. On CUDA
    all steps are one graph.
    """

    @staticmethod
    def forward(
        ctx: Any,
        a_TBH: Tensor,
        W_o_HO: Tensor,
        W_y_OH: Tensor,
        b_y_O: Tensor,
        o_BO: Tensor,
        feedback: Nonlinearity,
    ) -> tuple[Tensor | None, ...]:
        given = W_o_HO, W_y_OH, b_y_O, o_BO
        found = replay(forward_steps, a_TBH, *given, options=(feedback,))
        ctx.save_for_backward(*found, W_o_HO, W_y_OH, o_BO)
        ctx.feedback = feedback
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_o: Tensor) -> tuple[Tensor | None, ...]:
        given = *ctx.saved_tensors, grad_h, grad_o
        return *replay(backward_steps, *given, options=(ctx.feedback,)), None


def forward_steps(
    a_TBH: Tensor,
    W_o_HO: Tensor,
    W_y_OH: Tensor,
    b_y_O: Tensor,
    o_BO: Tensor,
    feedback: Nonlinearity,
) -> tuple[Tensor, Tensor]:
    """h_TBH and o_TBO after every step."""
    h_TBH = torch.empty_like(a_TBH)
    o_TBO = a_TBH.new_empty(*a_TBH.shape[:2], o_BO.shape[1])
    W_o, W_y, f_, past = W_o_HO.t(), W_y_OH.t(), IN_PLACE[feedback], o_BO
    for a, h, o in zip(a_TBH.unbind(0), h_TBH.unbind(0), o_TBO.unbind(0), strict=True):
        torch.addmm(a, past, W_o, out=h).tanh_()  # (1)
        past = f_(torch.addmm(b_y_O, h, W_y, out=o))  # (2)
    return h_TBH, o_TBO


def backward_steps(
    h_TBH: Tensor,
    o_TBO: Tensor,
    W_o_HO: Tensor,
    W_y_OH: Tensor,
    o_BO: Tensor,
    grad_h: Tensor,
    grad_o: Tensor,
    feedback: Nonlinearity,
) -> tuple[Tensor, ...]:
    """Gradients of a_TBH, W_o_HO, W_y_OH, b_y_O and o_BO."""
    da_TBH, db_TBO = slope(h_TBH, "tanh"), slope(o_TBO, feedback)
    do_BO, dh_BH = torch.zeros_like(o_BO), torch.empty_like(h_TBH[0])
    sequences = (da_TBH, db_TBO, grad_h, grad_o)
    steps = zip(*(sequence.unbind(0) for sequence in sequences), strict=True)
    for da_BH, db_BO, gh_BH, go_BO in reversed([*steps]):
        db_BO.mul_(do_BO.add_(go_BO))
        da_BH.mul_(torch.addmm(gh_BH, db_BO, W_y_OH, out=dh_BH))
        torch.mm(da_BH, W_o_HO, out=do_BO)
    past_TBO = torch.cat([o_BO.unsqueeze(0), o_TBO[:-1]])
    dW_o_HO = da_TBH.flatten(0, 1).t() @ past_TBO.flatten(0, 1)
    dW_y_OH = db_TBO.flatten(0, 1).t() @ h_TBH.flatten(0, 1)
    return da_TBH, dW_o_HO, dW_y_OH, db_TBO.sum((0, 1)), do_BO
