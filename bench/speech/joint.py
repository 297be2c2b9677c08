"""Joint network of Graves, Mohamed and Hinton (ICASSP 2013, section 3.2), fused with the loss.

    (1)  l_t    = W_l e_t + b_l                      e_t the encoder, both directions side by side
    (2)  h_t,u  = tanh(W_lh l_t + W_ph p_u + b_h)    p_u the prediction network after u labels
    (3)  z_t,u  = W_z h_t,u + b_z
    (4)  Pr(k | t, u) = softmax(z_t,u)_k             K labels and the blank, index 0

Held whole, h and z are B T S J and B T S V numbers. `joint_loss` computes them in chunks of
frames, one utterance after the other and so without padding, keeps the two numbers a node that the
recursion needs, and computes the chunks again for the gradient.

Shapes: B batch, T frames, U labels, S = U + 1 positions, J joint hidden units, V outputs,
M frames of a chunk, E encoder, P prediction network.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from bench.speech.transducer_loss import (
    CHUNK_BYTES,
    check_lattice,
    log_likelihood,
    occupancies,
    to_score_gradient_,
)


class Joint(nn.Module):
    """Scores of the next output from a frame of the encoder and a state of the prediction network.

    `num_outputs` counts the blank.
    """

    def __init__(
        self, encoder_size: int, prediction_size: int, num_outputs: int, *, hidden_size: int = 250
    ) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        self.hidden_size = hidden_size
        self.transcription = nn.Linear(encoder_size, hidden_size)  # (1)
        self.from_transcription = nn.Linear(hidden_size, hidden_size)  # (2), with b_h
        self.from_prediction = nn.Linear(prediction_size, hidden_size, bias=False)
        self.output = nn.Linear(hidden_size, num_outputs)  # (3)

    def project_frames(self, e_BTE: Tensor) -> Tensor:
        """Term of the frames in (2) [B, T, J]."""
        projected: Tensor = self.from_transcription(self.transcription(e_BTE))
        return projected

    def project_predictions(self, p_BSP: Tensor) -> Tensor:
        """Term of the prediction network in (2) [B, S, J]."""
        projected: Tensor = self.from_prediction(p_BSP)
        return projected

    def forward(self, frame_J: Tensor, prediction_J: Tensor) -> Tensor:
        """Scores [..., V] of projected frames and predictions [..., J], which broadcast."""
        z_V: Tensor = self.output(torch.tanh(frame_J + prediction_J))
        return z_V

    def log_probs(self, frame_J: Tensor, prediction_J: Tensor) -> Tensor:
        """Logarithm of (4) [..., V] for projected frames and predictions [..., J]."""
        return F.log_softmax(self(frame_J, prediction_J), dim=-1)

    def loss(
        self, e_BTE: Tensor, p_BSP: Tensor, target_BU: Tensor, frames_B: Tensor, labels_B: Tensor
    ) -> Tensor:
        """-log Pr(y | x) of each utterance [B], in nats; targets as in `transducer_loss`."""
        weights = self.output.weight, self.output.bias
        frame_BTJ, prediction_BSJ = self.project_frames(e_BTE), self.project_predictions(p_BSP)
        dtype = self.output.weight.dtype
        parts = frame_BTJ.to(dtype), prediction_BSJ.to(dtype)
        with torch.autocast(e_BTE.device.type, enabled=False):  # sums over a lattice stay exact
            return joint_loss(*parts, *weights, target_BU, frames_B, labels_B)

    def flops_per_node(self) -> int:
        """Floating-point operations of the matrix product at one node (t, u), forward."""
        return 2 * self.hidden_size * self.num_outputs


def joint_loss(
    frame_BTJ: Tensor,
    prediction_BSJ: Tensor,
    weight_VJ: Tensor,
    bias_V: Tensor,
    target_BU: Tensor,
    frames_B: Tensor,
    labels_B: Tensor,
) -> Tensor:
    """Loss [B], in nats, of (2) to (4) on projected frames and predictions."""
    lengths = check_lattice(frame_BTJ.shape[1], len(weight_VJ), target_BU, frames_B, labels_B)
    tensors = frame_BTJ, prediction_BSJ, weight_VJ, bias_V, target_BU, frames_B, labels_B
    loss_B: Tensor = _JointLoss.apply(*tensors, lengths)  # type: ignore[no-untyped-call]
    return loss_B


class _JointLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        frame_BTJ: Tensor,
        prediction_BSJ: Tensor,
        weight_VJ: Tensor,
        bias_V: Tensor,
        target_BU: Tensor,
        frames_B: Tensor,
        labels_B: Tensor,
        lengths: tuple[list[int], list[int]],
    ) -> Tensor:
        blank_BTS = frame_BTJ.new_zeros(*frame_BTJ.shape[:2], prediction_BSJ.shape[1])
        label_BTU = torch.zeros_like(blank_BTS[..., :-1])
        tensors = frame_BTJ, prediction_BSJ, weight_VJ, bias_V
        for b, t, S, _, z_MSV in _chunks(*tensors, lengths):
            log_sum_MS = z_MSV.logsumexp(2)
            torch.sub(z_MSV[..., 0], log_sum_MS, out=blank_BTS[b, t, :S])
            z_MU = z_MSV.gather(2, _next_label(target_BU, b, z_MSV))[..., 0]
            torch.sub(z_MU, log_sum_MS[:, :-1], out=label_BTU[b, t, : S - 1])
        if not any(ctx.needs_input_grad):
            return -log_likelihood(blank_BTS, label_BTU, frames_B, labels_B).to(frame_BTJ.dtype)
        log_p_B, *moves = occupancies(blank_BTS, label_BTU, frames_B, labels_B)
        ctx.save_for_backward(*tensors, target_BU, *(move.to(frame_BTJ.dtype) for move in moves))
        ctx.lengths = lengths
        return -log_p_B.to(frame_BTJ.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_B: Tensor) -> tuple[Tensor | None, ...]:
        *saved, target_BU, in_blank_BTS, in_label_BTU = ctx.saved_tensors
        frame_BTJ, prediction_BSJ, weight_VJ, bias_V = saved
        gradients = [torch.zeros_like(tensor) for tensor in saved]
        dframe_BTJ, dprediction_BSJ, dweight_VJ, dbias_V = gradients
        chunks = _chunks(frame_BTJ, prediction_BSJ, weight_VJ, bias_V, ctx.lengths)
        for b, t, S, h_MSJ, z_MSV in chunks:
            in_blank_MS = in_blank_BTS[b, t, :S] * grad_B[b]
            in_label_MU = in_label_BTU[b, t, : S - 1] * grad_B[b]
            next_label_MU1 = _next_label(target_BU, b, z_MSV)
            dz_MSV = to_score_gradient_(z_MSV.softmax(2), in_blank_MS, in_label_MU, next_label_MU1)
            dz_RV, h_RJ = dz_MSV.flatten(0, 1), h_MSJ.flatten(0, 1)
            dweight_VJ.addmm_(dz_RV.t(), h_RJ)
            dbias_V += dz_RV.sum(0)
            dh_MSJ = torch.mm(dz_RV, weight_VJ).view_as(h_MSJ)
            da_MSJ = torch.ops.aten.tanh_backward(dh_MSJ, h_MSJ)
            torch.sum(da_MSJ, 1, out=dframe_BTJ[b, t])
            dprediction_BSJ[b, :S] += da_MSJ.sum(0)
        return (*gradients, None, None, None, None)


def _next_label(target_BU: Tensor, b: int, z_MSV: Tensor) -> Tensor:
    """Index [M, U, 1] of each position's next label among the outputs."""
    num_frames, num_positions, _ = z_MSV.shape
    return target_BU[b, : num_positions - 1, None].expand(num_frames, -1, 1)


def _chunks(
    frame_BTJ: Tensor,
    prediction_BSJ: Tensor,
    weight_VJ: Tensor,
    bias_V: Tensor,
    lengths: tuple[list[int], list[int]],
) -> Iterator[tuple[int, slice, int, Tensor, Tensor]]:
    """Utterance, frames, positions, h and z of (2) and (3); each chunk overwrites the one before.

    The h of a chunk has CHUNK_BYTES, or one frame if that is more.
    """
    budget = CHUNK_BYTES.get(frame_BTJ.device.type, CHUNK_BYTES["cuda"])
    J = frame_BTJ.shape[2]
    for b, (num_frames, num_labels) in enumerate(zip(*lengths, strict=True)):
        S = num_labels + 1
        step = min(num_frames, max(1, budget // (S * J * frame_BTJ.element_size())))
        buffer_MSJ = frame_BTJ.new_empty(step, S, J)
        for start in range(0, num_frames, step):
            t = slice(start, min(start + step, num_frames))
            h_MSJ = buffer_MSJ[: t.stop - start]
            torch.add(frame_BTJ[b, t, None], prediction_BSJ[b, :S], out=h_MSJ).tanh_()
            z_RV = torch.addmm(bias_V, h_MSJ.flatten(0, 1), weight_VJ.t())
            yield b, t, S, h_MSJ, z_RV.view(*h_MSJ.shape[:2], -1)
