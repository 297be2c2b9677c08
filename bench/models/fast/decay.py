"""Decaying sum s_t = u_t + alpha s_{t-1} for all steps without a loop over them.

Within a block of K steps s is a lower-triangular matrix of powers of alpha times u. Only powers
with exponents from 0 to K occur, so nothing overflows however long the sequence.

Shapes: B batch, T time, C units, K steps of a block.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_LENGTH = 64


def decayed_sum(u_TBC: Tensor, s_BC: Tensor, alpha: float | Tensor) -> Tensor:
    """s_TBC after every step, from s_BC before the first; alpha is a number or [C], in (0, 1)."""
    length = min(BLOCK_LENGTH, u_TBC.shape[0])
    powers = decay_powers(length, alpha, u_TBC)
    blocks = []
    for u_KBC in torch.split(u_TBC, length):
        inputs = torch.cat([s_BC.unsqueeze(0), u_KBC])
        num_steps = u_KBC.shape[0]
        part = powers[..., :num_steps, : num_steps + 1]
        if part.dim() == 2:
            s_KBC = (part @ inputs.flatten(1)).view_as(u_KBC)
        else:
            s_KBC = torch.bmm(part, inputs.permute(2, 0, 1)).permute(1, 2, 0)
        blocks.append(s_KBC)
        s_BC = s_KBC[-1]
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def decay_powers(length: int, alpha: float | Tensor, like: Tensor) -> Tensor:
    """alpha^(k + 1 - j) at row k, column j <= k + 1, else zero: [K, K + 1] or [C, K, K + 1].

    Column 0 is for the state before the block, column j for input j - 1.
    """
    steps = torch.arange(length + 1, device=like.device)
    exponents = steps[1:, None] - steps
    base = torch.as_tensor(alpha, dtype=like.dtype, device=like.device)
    return (base[..., None, None] ** exponents.clamp(min=0)).tril(1)
