"""The transducer loss, -log Pr(y | x), with its own gradient.

A. Graves, "Sequence transduction with recurrent neural networks", 2012, sections 2.4 and 2.5. With
g(t, u) and h(t, u) the probabilities, given the labels, that an alignment leaves the node (t, u)
by a blank and by the next label (`lattice.occupancies`), and z the joint network's scores,

    d loss / d log p(blank | t, u)   = -g(t, u)
    d loss / d log p(y_u+1 | t, u)   = -h(t, u)
    d loss / d z_k(t, u) = (g + h) p(k | t, u) - g [k = blank] - h [k = y_u+1]

so beyond the scores only numbers per node are kept, and softmax and recursion are never stored by
the library's own differentiation.

Shapes: B batch, T frames, U labels, S = U + 1 positions, V outputs, of which 0 is the blank.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.speech.transducer.lattice import check_lattice, log_likelihood, occupancies

CHUNK_BYTES = {"cpu": 2 << 20, "cuda": 256 << 20}
Gradient = Literal["own", "in-place"]


def lattice_loss(
    blank_BTS: Tensor, label_BTU: Tensor, frames_B: Tensor, labels_B: Tensor
) -> Tensor:
    """Loss [B], in nats, of log-probabilities of blanks and of the next labels.

    `frames_B` in [1, T] and `labels_B` in [0, U] are the lengths. Labels of probability zero have
    an infinite loss and gradient zero.
    """
    none_BU = labels_B.new_ones(label_BTU.shape[0], label_BTU.shape[2])
    check_lattice(blank_BTS.shape[1], None, none_BU, frames_B, labels_B)
    arguments = (blank_BTS, label_BTU, frames_B, labels_B)
    loss_B: Tensor = _LatticeLoss.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss_B


def transducer_loss(
    z_BTSV: Tensor,
    target_BU: Tensor,
    frames_B: Tensor,
    labels_B: Tensor,
    *,
    gradient: Gradient = "own",
) -> Tensor:
    """Loss [B], in nats, of scores; the softmax over the V outputs is part of it.

    `target_BU` holds labels in [1, V) where u < labels_B, anything elsewhere. With `gradient`
    "in-place" the backward pass writes its result over the scores: half the memory, and nothing
    else may read them afterwards (the library refuses a second backward pass by itself).
    """
    check_lattice(z_BTSV.shape[1], z_BTSV.shape[3], target_BU, frames_B, labels_B)
    valid_BU = torch.arange(target_BU.shape[1], device=target_BU.device) < labels_B[:, None]
    arguments = (z_BTSV, target_BU.where(valid_BU, 0), frames_B, labels_B, gradient)
    loss_B: Tensor = _TransducerLoss.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss_B


class _LatticeLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, blank_BTS: Tensor, label_BTU: Tensor, frames_B: Tensor, labels_B: Tensor
    ) -> Tensor:
        arguments = blank_BTS, label_BTU, frames_B, labels_B
        if not any(ctx.needs_input_grad):
            return -log_likelihood(*arguments).to(blank_BTS.dtype)
        log_p_B, *moves = occupancies(*arguments)
        ctx.save_for_backward(*(move.to(blank_BTS.dtype) for move in moves))
        return -log_p_B.to(blank_BTS.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_B: Tensor) -> tuple[Tensor | None, ...]:
        scale_B11 = -grad_B[:, None, None]
        in_blank_BTS, in_label_BTU = ctx.saved_tensors
        return in_blank_BTS * scale_B11, in_label_BTU * scale_B11, None, None


class _TransducerLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        z_BTSV: Tensor,
        target_BU: Tensor,
        frames_B: Tensor,
        labels_B: Tensor,
        gradient: Gradient,
    ) -> Tensor:
        blank_BTS, label_BTU, log_sum_BTS = log_moves(z_BTSV, target_BU)
        if not ctx.needs_input_grad[0]:
            return -log_likelihood(blank_BTS, label_BTU, frames_B, labels_B).to(z_BTSV.dtype)
        log_p_B, *moves = occupancies(blank_BTS, label_BTU, frames_B, labels_B)
        in_moves = (move.to(z_BTSV.dtype) for move in moves)
        ctx.save_for_backward(z_BTSV, target_BU, frames_B, labels_B, log_sum_BTS, *in_moves)
        ctx.gradient = gradient
        return -log_p_B.to(z_BTSV.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_B: Tensor) -> tuple[Tensor | None, ...]:
        z_BTSV, target_BU, frames_B, labels_B, log_sum_BTS, in_blank_BTS, in_label_BTU = (
            ctx.saved_tensors
        )
        in_blank_BTS = in_blank_BTS * grad_B[:, None, None]
        in_label_BTU = in_label_BTU * grad_B[:, None, None]
        dz_BTSV = z_BTSV if ctx.gradient == "in-place" else torch.empty_like(z_BTSV)
        for t in frame_chunks(z_BTSV):
            dz = torch.sub(z_BTSV[:, t], log_sum_BTS[:, t, :, None], out=dz_BTSV[:, t]).exp_()
            in_any = in_blank_BTS[:, t].clone()
            in_any[:, :, :-1] += in_label_BTU[:, t]
            dz.mul_(in_any[..., None])
            dz[..., 0] -= in_blank_BTS[:, t]
            index = target_BU[:, None, :, None].expand(-1, dz.shape[1], -1, 1)
            dz[:, :, :-1].scatter_add_(3, index, -in_label_BTU[:, t, :, None])
        clear_padding_(dz_BTSV, frames_B, labels_B)
        return dz_BTSV, None, None, None, None


def log_moves(z_BTSV: Tensor, target_BU: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability of a blank [B, T, S] and of the next label [B, T, U], log sum [B, T, S]."""
    log_sum_BTS = torch.empty_like(z_BTSV[..., 0])
    for t in frame_chunks(z_BTSV):
        torch.logsumexp(z_BTSV[:, t], 3, out=log_sum_BTS[:, t])
    index = target_BU[:, None, :, None].expand(-1, z_BTSV.shape[1], -1, 1)
    label_BTU = z_BTSV[:, :, :-1].gather(3, index)[..., 0] - log_sum_BTS[:, :, :-1]
    return z_BTSV[..., 0] - log_sum_BTS, label_BTU, log_sum_BTS


def frame_chunks(z_BTSV: Tensor) -> Iterator[slice]:
    """Frames whose scores are one chunk, so that a copy of a chunk is small beside the scores."""
    budget = CHUNK_BYTES.get(z_BTSV.device.type, CHUNK_BYTES["cuda"])
    num_frames = z_BTSV.shape[1]
    step = max(1, budget * num_frames // max(1, z_BTSV.nbytes))
    for start in range(0, num_frames, step):
        yield slice(start, min(start + step, num_frames))


def clear_padding_(dz_BTSV: Tensor, frames_B: Tensor, labels_B: Tensor) -> None:
    """Zero what lies outside each lattice, be it not a number."""
    _, num_frames, num_positions, _ = dz_BTSV.shape
    t_T = torch.arange(num_frames, device=dz_BTSV.device)
    s_S = torch.arange(num_positions, device=dz_BTSV.device)
    dz_BTSV.masked_fill_((t_T >= frames_B[:, None])[:, :, None, None], 0.0)
    dz_BTSV.masked_fill_((s_S > labels_B[:, None])[:, None, :, None], 0.0)
