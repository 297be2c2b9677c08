"""How weights begin: one option shared by all architectures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

Init = Literal["uniform", "normal", "orthogonal"]


@torch.no_grad()
def initialise_(
    module: nn.Module,
    *,
    init: Init,
    scale: float | None,
    hidden_size: int,
    recurrent: Iterable[Tensor],
) -> None:
    """Draw every parameter of `module` anew.

    `uniform` draws from U(-scale, scale) and `normal` from N(0, scale^2); `scale` None means
    1 / sqrt(hidden_size). `orthogonal` draws as `uniform`, then makes each square block of the
    `recurrent` matrices (one block a gate) orthogonal (Saxe et al. 2014).
    """
    bound = 1.0 / math.sqrt(hidden_size) if scale is None else scale
    for parameter in module.parameters():
        if init == "normal":
            parameter.normal_(0.0, bound)
        else:
            parameter.uniform_(-bound, bound)
    if init == "orthogonal":
        for matrix in recurrent:
            for block in matrix.chunk(-(-matrix.shape[0] // matrix.shape[1])):
                block.copy_(nn.init.orthogonal_(torch.empty_like(block)))
