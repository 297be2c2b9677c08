"""What the processes that train together have of one batch, set side by side, with gradient.

For a loss that compares an example with those of other processes. Called by all of them at the
same place, as everything in `bench.training.collective`.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from bench.training.collective import num_ranks, own_rank, summed


class Gathering:
    """The rows of all processes, one after another in their order, however many each one has.

    `own`: where this one's stand among them. A process differentiates a loss of its own; what
    comes back to a row is the gradient of the sum of all their losses.
    """

    def __init__(self, num_own: int, device: torch.device) -> None:
        sizes = torch.zeros(num_ranks(), dtype=torch.int64, device=device)
        sizes[own_rank()] = num_own
        self._sizes: list[int] = summed(sizes).tolist()
        before = sum(self._sizes[: own_rank()])
        self.own = slice(before, before + num_own)

    def __call__(self, rows: Tensor) -> Tensor:
        if num_ranks() == 1:
            return rows
        return cast(Tensor, _Gathered.apply(rows, self._sizes, self.own))  # type: ignore[no-untyped-call]


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int], own: slice) -> Tensor:
        ctx.own = own
        longest = rows.new_zeros(max(sizes), *rows.shape[1:])  # what is sent must be of one shape
        longest[: len(rows)] = rows
        found = [torch.empty_like(longest) for _ in sizes]
        dist.all_gather(found, longest)
        return torch.cat([each[:size] for each, size in zip(found, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        return summed(gradient.contiguous())[ctx.own], None, None
