"""Two recurrences over the same sequence, one from each end.

M. Schuster and K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal
Processing 45, 1997.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.models.recurrence import Recurrence, State


class Bidirectional(Recurrence):
    """`ahead` reads from the first step on, `back` from each row's own last step.

    y is both outputs for the same step side by side, the state (ahead's, then back's).
    """

    def __init__(self, ahead: Recurrence, back: Recurrence) -> None:
        super().__init__(ahead.input_size, ahead.output_size + back.output_size)
        self.ahead = ahead
        self.back = back

    @property
    def is_causal(self) -> bool:
        return False

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return self.ahead.state_shapes() + self.back.state_shapes()

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        raise NotImplementedError("a bidirectional recurrence has no step: it reads from both ends")

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        return self._read_both(self.ahead, self.back, x_BTD, state, lengths_B)

    def forward_reference(
        self, x_BTD: Tensor, state: State | None = None, lengths_B: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Both directions by their plain loops."""
        state, _ = self._prepare(x_BTD, state, lengths_B)
        plain = self.ahead.forward_reference, self.back.forward_reference
        return self._read_both(*plain, x_BTD, state, lengths_B)

    def _read_both(
        self,
        ahead: Callable[..., tuple[Tensor, State]],
        back: Callable[..., tuple[Tensor, State]],
        x_BTD: Tensor,
        state: State,
        lengths_B: Tensor | None,
    ) -> tuple[Tensor, State]:
        middle = len(self.ahead.state_shapes())
        y_BTH, first = ahead(x_BTD, state[:middle], lengths_B)
        z_BTH, second = back(reverse(x_BTD, lengths_B), state[middle:], lengths_B)
        return torch.cat([y_BTH, reverse(z_BTH, lengths_B)], dim=2), first + second

    def flops_per_step(self) -> int:
        return self.ahead.flops_per_step() + self.back.flops_per_step()


def reverse(x_BTD: Tensor, lengths_B: Tensor | None) -> Tensor:
    """Reverse each row's sequence; padding stays in place."""
    if lengths_B is None:
        return x_BTD.flip(1)
    B, T, _ = x_BTD.shape
    t_T = torch.arange(T, device=x_BTD.device)
    mirrored_BT = lengths_B.to(x_BTD.device).unsqueeze(1) - 1 - t_T
    source_BT = torch.where(mirrored_BT >= 0, mirrored_BT, t_T)
    source_BT += T * torch.arange(B, device=x_BTD.device).unsqueeze(1)
    found: Tensor = _Permute.apply(x_BTD, source_BT.flatten())  # type: ignore[no-untyped-call]
    return found


class _Permute(torch.autograd.Function):
    """Permutation of the steps of all rows that is its own inverse, hence its own gradient."""

    @staticmethod
    def forward(ctx: Any, x_BTD: Tensor, source_N: Tensor) -> Tensor:
        ctx.save_for_backward(source_N)
        return x_BTD.flatten(0, 1).index_select(0, source_N).view_as(x_BTD)

    @staticmethod
    def backward(ctx: Any, grad_BTD: Tensor) -> tuple[Tensor, None]:
        (source_N,) = ctx.saved_tensors
        return _Permute.apply(grad_BTD, source_N), None  # type: ignore[no-untyped-call]
