"""Scan in blocks whose inner values are recomputed for the gradient.

T. Chen, B. Xu, C. Zhang and C. Guestrin, "Training deep nets with sublinear memory cost",
arXiv:1604.06174; for recurrences A. Gruslys et al., NIPS 2016. Gates and other values inside a step
are stored for one block of K steps at a time, instead of all T; inputs, outputs and the states
between blocks are stored throughout. The cost is one more forward pass.

Shapes: B batch, T time, D input, H output, K steps of a block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Scan = Callable[[Tensor, tuple[Tensor, ...], Tensor | None], tuple[Tensor, tuple[Tensor, ...]]]


def scan_in_blocks(
    scan: Scan,
    x_BTD: Tensor,
    state: tuple[Tensor, ...],
    lengths_B: Tensor | None,
    *,
    num_steps: int,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run `scan` over all steps, in blocks of `num_steps`; exact by the law of chunking."""
    outputs = []
    for start in range(0, x_BTD.shape[1], num_steps):
        x_BKD = x_BTD[:, start : start + num_steps]
        left_B = None if lengths_B is None else (lengths_B - start).clamp(0, x_BKD.shape[1])
        found: Any = checkpoint(
            scan,
            x_BKD,
            state,
            left_B,
            use_reentrant=False,
            preserve_rng_state=False,  # a recurrence draws nothing inside a scan
        )
        y_BKH, state = found
        outputs.append(y_BKH)
    return torch.cat(outputs, dim=1), state
