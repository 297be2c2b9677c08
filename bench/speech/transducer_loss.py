"""Transducer loss, -log Pr(y | x), with its own gradient.

A. Graves, "Sequence transduction with recurrent neural networks", 2012, sections 2.4 and 2.5. With
g(t, u) and h(t, u) the probabilities, given the labels, that an alignment leaves the node (t, u)
by a blank and by the next label (`occupancies`), and z the joint network's scores,

    d loss / d log p(blank | t, u)   = -g(t, u)
    d loss / d log p(y_u+1 | t, u)   = -h(t, u)
    d loss / d z_k(t, u) = (g + h) p(k | t, u) - g [k = blank] - h [k = y_u+1]

so beyond the scores only numbers per node are kept, and autograd stores neither softmax nor
recursion.

The recursion computes one anti-diagonal of every lattice of the batch in a step. A node (t, u) says
that u labels are out when frame t is reached; a blank moves to (t+1, u), a label to (t, u+1), so
all nodes with t + u = n depend on those with t + u = n-1 only. Moves are stored skewed, [n, u] in
place of [t, u], where a step reads and writes adjacent memory.

Utterances shorter than the batch go on from their own end, (T_b, U_b), on one path of weight 1
to the common end (T, U): first labels, then blanks. So every lattice is a full one, no step asks
for lengths, and padding is never read. The backward recursion is the forward one on the lattice
turned by 180 degrees, and both run as one batch. They are in float64 whatever the input: sums of
hundreds of log-probabilities lose three digits in float32, and the number of steps costs, not their
width.

Shapes: B batch, T frames, U labels, S = U + 1 positions, V outputs, of which 0 is the blank,
N = T + U moves of a path, M lattices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.core.errors import BenchError


def log_likelihood(
    blank_BTS: Tensor, label_BTU: Tensor, frames_B: Tensor, labels_B: Tensor
) -> Tensor:
    """Log-probability of the labels, all alignments summed, float64 [B], without gradient.

    `blank_BTS` and `label_BTU` are log-probabilities of leaving (t, u) by a blank and by the next
    label; `frames_B` in [1, T] and `labels_B` in [0, U] are the size of each lattice.
    """
    moves = _skewed_moves(blank_BTS.detach(), label_BTU.detach(), frames_B, labels_B, 1)
    return _scan(*moves)[-1, -1].clone()


def occupancies(
    blank_BTS: Tensor, label_BTU: Tensor, frames_B: Tensor, labels_B: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-likelihood, and the probability, given the labels, that an alignment makes each move.

    Returns log-likelihood [B], blank moves [B, T, S] and label moves [B, T, U], float64; the moves
    are the gradient of the log-likelihood. They are zero in padding, and everywhere for labels of
    probability zero.
    """
    B, T, _ = blank_BTS.shape
    blank_NSM, label_NUM = _skewed_moves(
        blank_BTS.detach(), label_BTU.detach(), frames_B, labels_B, 2
    )
    nodes_NSM = _scan(blank_NSM, label_NUM)
    log_p_B = nodes_NSM[-1, -1, :B].clone()
    scale_B = torch.where(log_p_B.isinf(), 0.0, log_p_B)
    alpha_NSB = nodes_NSM[:-1, :, :B] - scale_B
    beta_NSB = nodes_NSM[:-1, :, B:].flip(0, 1)  # of the nodes one diagonal later
    in_blank_NSB = (alpha_NSB + blank_NSM[..., :B]).add_(beta_NSB).exp_()
    in_label_NUB = (alpha_NSB[:, :-1] + label_NUM[..., :B]).add_(beta_NSB[:, 1:]).exp_()
    valid_BT1 = (torch.arange(T, device=frames_B.device) < frames_B[:, None])[..., None]
    blank, label = (
        _unskewed(part, T).permute(2, 0, 1) * valid_BT1 for part in (in_blank_NSB, in_label_NUB)
    )
    return log_p_B, blank, label


def _skewed_moves(
    blank_BTS: Tensor, label_BTU: Tensor, frames_B: Tensor, labels_B: Tensor, directions: int
) -> tuple[Tensor, Tensor]:
    """Log weights of all moves [N, S, M] and [N, U, M]; M = B, or 2B with the turned lattices."""
    B, T, S = blank_BTS.shape
    t_T11 = torch.arange(T + 1, device=blank_BTS.device)[:, None, None]
    u_S1 = torch.arange(S, device=blank_BTS.device)[:, None]
    inside = t_T11 < frames_B
    blank_TSB = torch.where(
        (inside & (u_S1 <= labels_B))[:T],
        blank_BTS.permute(1, 2, 0).double(),
        _free(((t_T11 >= frames_B) & (u_S1 == S - 1))[:T]),
    )
    none_1UB = label_BTU.new_zeros(1, S - 1, B)
    label_TUB = torch.where(
        inside & (u_S1[:-1] < labels_B),
        torch.cat([label_BTU.permute(1, 2, 0), none_1UB]).double(),
        _free((t_T11 == frames_B) & (u_S1[:-1] >= labels_B)),
    )
    num_moves = T + S - 1
    return _skewed(blank_TSB, num_moves, directions), _skewed(label_TUB, num_moves, directions)


def _free(where: Tensor) -> Tensor:
    """Log weight 0 on the path past an utterance's own end, minus infinity elsewhere."""
    return torch.where(where, 0.0, -math.inf).double()


def _skewed(x_TUB: Tensor, num_moves: int, directions: int) -> Tensor:
    """[t, u] to [t + u, u], the gaps minus infinity; turned lattices stand behind."""
    T, U, B = x_TUB.shape
    out_NUM = x_TUB.new_full((num_moves, U, directions * B), -math.inf)
    _unskewed(out_NUM, T)[..., :B] = x_TUB
    if directions == 2:
        out_NUM[..., B:] = out_NUM[..., :B].flip(0, 1)
    return out_NUM


def _unskewed(x_NUM: Tensor, num_frames: int) -> Tensor:
    """View [t, u] of a tensor that is stored as [t + u, u]."""
    _, U, M = x_NUM.shape
    along_n, along_u, along_m = x_NUM.stride()
    strides = along_n, along_n + along_u, along_m
    return x_NUM.as_strided((num_frames, U, M), strides, x_NUM.storage_offset())


def _scan(blank_NSM: Tensor, label_NUM: Tensor) -> Tensor:
    """Log of the forward probability of every node [N + 1, S, M], node (0, 0) first."""
    N, S, M = blank_NSM.shape
    nodes_NSM = blank_NSM.new_full((N + 1, S, M), -math.inf)
    nodes_NSM[0, 0] = 0.0
    by_label_UM = torch.empty_like(nodes_NSM[0, 1:])
    before, after = nodes_NSM[:, :-1].unbind(), nodes_NSM[:, 1:].unbind()
    whole = nodes_NSM.unbind()
    for n, (blank_SM, label_UM) in enumerate(zip(blank_NSM, label_NUM, strict=True)):
        torch.add(whole[n], blank_SM, out=whole[n + 1])
        torch.add(before[n], label_UM, out=by_label_UM)
        torch.logaddexp(after[n + 1], by_label_UM, out=after[n + 1])
    return nodes_NSM


def check_lattice(
    num_frames: int, num_outputs: int, target_BU: Tensor, frames_B: Tensor, labels_B: Tensor
) -> tuple[list[int], list[int]]:
    """Lengths as numbers.

    Raises BenchError where a lattice has no alignment or a target is no label.
    """
    frames, labels = frames_B.tolist(), labels_B.tolist()
    if min(frames) < 1 or max(frames) > num_frames:
        raise BenchError(
            f"utterances of {min(frames)} to {max(frames)} frames in a batch of {num_frames}: a "
            "transducer needs 1 frame at least; leave out empty utterances"
        )
    num_labels = target_BU.shape[1]
    if min(labels) < 0 or max(labels) > num_labels:
        raise BenchError(
            f"{min(labels)} to {max(labels)} labels, the targets have room for {num_labels}"
        )
    valid_BU = torch.arange(num_labels, device=target_BU.device) < labels_B[:, None]
    wrong_BU = valid_BU & ((target_BU < 1) | (target_BU >= num_outputs))
    if bool(wrong_BU.any()):
        raise BenchError(
            f"target {int(target_BU[wrong_BU][0])} is no label: labels run from 1 to "
            f"{num_outputs - 1}, 0 is the blank"
        )
    return frames, labels


CHUNK_BYTES = {"cpu": 2 << 20, "cuda": 256 << 20}


def transducer_loss(
    z_BTSV: Tensor, target_BU: Tensor, frames_B: Tensor, labels_B: Tensor
) -> Tensor:
    """Loss [B], in nats, of scores; the softmax over the V outputs is part of it.

    `target_BU` holds labels in [1, V) where u < labels_B, anything elsewhere.
    """
    check_lattice(z_BTSV.shape[1], z_BTSV.shape[3], target_BU, frames_B, labels_B)
    valid_BU = torch.arange(target_BU.shape[1], device=target_BU.device) < labels_B[:, None]
    arguments = (z_BTSV, target_BU.where(valid_BU, 0), frames_B, labels_B)
    loss_B: Tensor = _TransducerLoss.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss_B


class _TransducerLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z_BTSV: Tensor, target_BU: Tensor, frames_B: Tensor, labels_B: Tensor
    ) -> Tensor:
        blank_BTS, label_BTU, log_sum_BTS = log_moves(z_BTSV, target_BU)
        if not ctx.needs_input_grad[0]:
            return -log_likelihood(blank_BTS, label_BTU, frames_B, labels_B).to(z_BTSV.dtype)
        log_p_B, *moves = occupancies(blank_BTS, label_BTU, frames_B, labels_B)
        in_moves = (move.to(z_BTSV.dtype) for move in moves)
        ctx.save_for_backward(z_BTSV, target_BU, frames_B, labels_B, log_sum_BTS, *in_moves)
        return -log_p_B.to(z_BTSV.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_B: Tensor) -> tuple[Tensor | None, ...]:
        z_BTSV, target_BU, frames_B, labels_B, log_sum_BTS, in_blank_BTS, in_label_BTU = (
            ctx.saved_tensors
        )
        in_blank_BTS = in_blank_BTS * grad_B[:, None, None]
        in_label_BTU = in_label_BTU * grad_B[:, None, None]
        dz_BTSV = torch.empty_like(z_BTSV)
        for t in frame_chunks(z_BTSV):
            p = torch.sub(z_BTSV[:, t], log_sum_BTS[:, t, :, None], out=dz_BTSV[:, t]).exp_()
            index = target_BU[:, None, :, None].expand(-1, p.shape[1], -1, 1)
            to_score_gradient_(p, in_blank_BTS[:, t], in_label_BTU[:, t], index)
        clear_padding_(dz_BTSV, frames_B, labels_B)
        return dz_BTSV, None, None, None


def to_score_gradient_(
    p_XSV: Tensor, in_blank_XS: Tensor, in_label_XU: Tensor, next_label_XU1: Tensor
) -> Tensor:
    """Turn probabilities of outputs into d loss / d z, in place; X any leading dimensions.

    The probabilities of the moves may be scaled; `next_label` is the index of each position's next
    label among the outputs.
    """
    in_any_XS = in_blank_XS.clone()
    in_any_XS[..., :-1] += in_label_XU
    dz_XSV = p_XSV.mul_(in_any_XS[..., None])
    dz_XSV[..., 0] -= in_blank_XS
    dz_XSV[..., :-1, :].scatter_add_(-1, next_label_XU1, -in_label_XU[..., None])
    return dz_XSV


def log_moves(z_BTSV: Tensor, target_BU: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability of a blank [B, T, S] and of the next label [B, T, U], log sum [B, T, S]."""
    log_sum_BTS = torch.empty_like(z_BTSV[..., 0])
    for t in frame_chunks(z_BTSV):
        torch.logsumexp(z_BTSV[:, t], 3, out=log_sum_BTS[:, t])
    index = target_BU[:, None, :, None].expand(-1, z_BTSV.shape[1], -1, 1)
    label_BTU = z_BTSV[:, :, :-1].gather(3, index)[..., 0] - log_sum_BTS[:, :, :-1]
    return z_BTSV[..., 0] - log_sum_BTS, label_BTU, log_sum_BTS


def frame_chunks(z_BTSV: Tensor) -> Iterator[slice]:
    """Slices of frames, so small that a copy of their scores is small beside all scores."""
    budget = CHUNK_BYTES.get(z_BTSV.device.type, CHUNK_BYTES["cuda"])
    num_frames = z_BTSV.shape[1]
    step = max(1, budget * num_frames // max(1, z_BTSV.nbytes))
    for start in range(0, num_frames, step):
        yield slice(start, min(start + step, num_frames))


def clear_padding_(dz_BTSV: Tensor, frames_B: Tensor, labels_B: Tensor) -> None:
    """Set everything outside each lattice to zero, even where it is not a number."""
    _, num_frames, num_positions, _ = dz_BTSV.shape
    t_T = torch.arange(num_frames, device=dz_BTSV.device)
    s_S = torch.arange(num_positions, device=dz_BTSV.device)
    dz_BTSV.masked_fill_((t_T >= frames_B[:, None])[:, :, None, None], 0.0)
    dz_BTSV.masked_fill_((s_S > labels_B[:, None])[:, None, :, None], 0.0)
