"""Dropout for sequences: masks for each step or for the whole chunk, and for whole words.

Shapes: B streams, T steps, H features, V vocabulary.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Mask = Literal["step", "sequence"]
LEVELS = 1 << 16
"""Shares that `drop_quickly` can tell apart."""


def drop(x_BTH: Tensor, share: float, mask: Mask, training: bool) -> Tensor:
    """`x_BTH` with a share of its entries zero and the rest scaled up; unchanged in evaluation."""
    if not training or share == 0.0:
        return x_BTH
    if mask == "step":
        return nn.functional.dropout(x_BTH, share)
    keep_B1H = x_BTH.new_empty(x_BTH.shape[0], 1, x_BTH.shape[2]).bernoulli_(1.0 - share)
    return x_BTH * keep_B1H.div_(1.0 - share)


def drop_words(embedding: nn.Embedding, input_BT: Tensor, share: float, training: bool) -> Tensor:
    """Input vectors in which a share of the vocabulary's rows is zero for this batch."""
    x_BTE: Tensor = embedding(input_BT)
    if not training or share == 0.0:
        return x_BTE
    keep_V = x_BTE.new_empty(embedding.num_embeddings).bernoulli_(1.0 - share).div_(1.0 - share)
    return x_BTE * keep_V[input_BT].unsqueeze(-1)


def drop_quickly(x: Tensor, share: float, training: bool) -> Tensor:
    """`drop` by step with 16 random bits an entry: the library draws a number of 64 for each.

    The share is met to 2^-17, what is kept is scaled by the share that is really kept.
    """
    if not training or share == 0.0:
        return x
    if x.device.type != "cpu":
        return nn.functional.dropout(x, share)
    num_dropped = min(round(share * LEVELS), LEVELS - 1)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
    bits = words.view(torch.int16)[: x.numel()].view(x.shape)
    keep = torch.empty(x.shape, dtype=x.dtype)
    torch.ge(bits, num_dropped - LEVELS // 2, out=keep)
    return x * keep.mul_(LEVELS / (LEVELS - num_dropped))


def drop_by(mask: Mask, x_BTH: Tensor, share: float, training: bool) -> Tensor:
    """`drop` by either mask, quickly where it is by step."""
    if mask == "sequence":
        return drop(x_BTH, share, "sequence", training)
    return drop_quickly(x_BTH, share, training)
