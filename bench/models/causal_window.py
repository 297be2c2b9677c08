"""The past inputs that a network of finite memory keeps as its state.

Shapes: B batch, T time, N inputs kept, D input.
"""

from __future__ import annotations

import torch
from torch import Tensor


def extend(past_BND: Tensor, x_BTD: Tensor) -> Tensor:
    """The inputs with those kept from before in front, [B, N + T, D]."""
    return torch.cat([past_BND.to(x_BTD), x_BTD], dim=1)


def latest(joined_BSD: Tensor, num_kept: int, lengths_B: Tensor | None) -> Tensor:
    """The last `num_kept` inputs of each row, of S = N + T in `extend`'s order, N = `num_kept`.

    With lengths a row ends after its own: it keeps positions length .. length + N - 1.
    """
    if lengths_B is None:
        return joined_BSD[:, joined_BSD.shape[1] - num_kept :]
    offsets_N = torch.arange(num_kept, device=joined_BSD.device)
    rows_B1 = torch.arange(len(lengths_B), device=joined_BSD.device).unsqueeze(1)
    return joined_BSD[rows_B1, lengths_B.unsqueeze(1) + offsets_N]
