"""Contract of every architecture: (x, state) -> (y, state).

Shapes: B batch, T time, D input, H output, K steps of a block.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.core.errors import BenchError

State = tuple[Tensor, ...]
Init = Literal["uniform", "normal", "orthogonal"]


class Recurrence(nn.Module, ABC):
    """Architecture that reads a sequence step by step and carries a state.

    A subclass gives `step`, the paper's equations for one step, and `state_shapes`. It is then
    complete: `forward` runs `step` over time. A faster exact form goes into `scan`, and the tests
    compare it with `forward_reference`, which always is the plain loop over `step`.

    Laws of every architecture: reading T1 then T2 steps equals reading T1 + T2; outputs do not
    depend on later inputs where `is_causal`; nothing depends on padding, nor a row on the other
    rows of its batch.

    Parameters
    ----------
    hidden_size
        Hidden units.
    init
        Distribution of the initial weights.
    init_scale
        Bound or standard deviation of the initial weights; 1 / sqrt(hidden_size) if not given.
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size
        self.recompute_steps: int | None = None
        """Steps of a block whose inner values are recomputed for the gradient; None: stored."""

    @property
    def is_causal(self) -> bool:
        """True if y at step t depends on the inputs up to t only."""
        return True

    @abstractmethod
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the state's tensors, without the batch dimension in front."""

    @abstractmethod
    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of the paper's equations: the next output [B, H] and state."""

    def flops_per_step(self) -> int:
        """Floating-point operations of one forward step of one row, in matrix products only.

        By default every weight matrix is multiplied once. A multiply-add counts as two. The
        backward pass takes twice as many again.
        """
        return 2 * sum(matrix.numel() for matrix in self.parameters() if matrix.dim() == 2)

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """Zero state before the first step, with the device and dtype of `like`."""
        return tuple(like.new_zeros(batch_size, *shape) for shape in self.state_shapes())

    def forward(
        self, x_BTD: Tensor, state: State | None = None, lengths_B: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read a batch of sequences by the fast path.

        `lengths_B` [B], each between 0 and T, says how many steps of a row count; None means all.
        Returns y_BTH, zero at padding, and for each row the state after its own last step.
        """
        state, valid_BT = self._prepare(x_BTD, state, lengths_B)
        if 0 in x_BTD.shape[:2]:
            return x_BTD.new_zeros(*x_BTD.shape[:2], self.output_size), state
        if lengths_B is None or valid_BT is None:
            return self._read(x_BTD, state, None)
        x_BTD, lengths_B = masked(x_BTD, valid_BT), lengths_B.to(x_BTD.device)
        y_BTH, state = self._read(x_BTD, state, lengths_B)
        return masked(y_BTH, valid_BT), state

    def _read(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        steps = self.recompute_steps
        if steps is None or x_BTD.shape[1] <= steps or not torch.is_grad_enabled():
            return self.scan(x_BTD, state, lengths_B)
        outputs = []
        for start in range(0, x_BTD.shape[1], steps):
            x_BKD = x_BTD[:, start : start + steps]
            left_B = None if lengths_B is None else (lengths_B - start).clamp(0, x_BKD.shape[1])
            # A recurrence draws nothing inside a scan, so there is no random state to restore.
            found: Any = checkpoint(
                self.scan, x_BKD, state, left_B, use_reentrant=False, preserve_rng_state=False
            )
            y_BKH, state = found
            outputs.append(y_BKH)
        return torch.cat(outputs, dim=1), state

    def recompute(self, num_steps: int | None) -> None:
        """Let causal layers recompute the inside of blocks of `num_steps` steps for the gradient.

        T. Chen, B. Xu, C. Zhang and C. Guestrin, "Training deep nets with sublinear memory cost",
        arXiv:1604.06174; for recurrences A. Gruslys et al., NIPS 2016. Gates and other values
        inside a step are stored for one block at a time instead of all T steps; inputs, outputs and
        the states between blocks are stored throughout. The cost is one more forward pass. None
        stores everything.
        """
        parts = [part for part in self.modules() if isinstance(part, Recurrence)]
        if len(parts) == 1:
            self.recompute_steps = num_steps if self.is_causal else None
        for part in parts[1:]:
            part.recompute(num_steps)

    def forward_reference(
        self, x_BTD: Tensor, state: State | None = None, lengths_B: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Compute `forward` by the plain loop over `step`: the oracle of every fast path."""
        state, valid_BT = self._prepare(x_BTD, state, lengths_B)
        if 0 in x_BTD.shape[:2]:
            return x_BTD.new_zeros(*x_BTD.shape[:2], self.output_size), state
        x_BTD = x_BTD if valid_BT is None else masked(x_BTD, valid_BT)
        outputs = []
        for t in range(x_BTD.shape[1]):
            y_BH, after = self.step(x_BTD[:, t], state)
            if valid_BT is not None:
                valid_B = valid_BT[:, t]
                y_BH = masked(y_BH, valid_B)
                after = tuple(where(valid_B, a, b) for a, b in zip(after, state, strict=True))
            outputs.append(y_BH.unsqueeze(1))
            state = after
        return torch.cat(outputs, dim=1), state

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        """Run all steps, T >= 1; `forward` has zeroed x at padding and will zero y there."""
        return Recurrence.forward_reference(self, x_BTD, state, lengths_B)

    def _prepare(
        self, x_BTD: Tensor, state: State | None, lengths_B: Tensor | None
    ) -> tuple[State, Tensor | None]:
        batch_size, num_steps, input_size = x_BTD.shape
        if input_size != self.input_size:
            raise BenchError(
                f"{type(self).__name__} was built for inputs of size {self.input_size}, "
                f"got {input_size}: give the model the output size of the layer below"
            )
        if state is None:
            state = self.initial_state(batch_size, x_BTD)
        return state, None if lengths_B is None else valid_steps(lengths_B, num_steps, x_BTD)


def valid_steps(lengths_B: Tensor, num_steps: int, like: Tensor) -> Tensor:
    """Boolean [B, T], true where a row's sequence still runs; lengths are checked on the CPU."""
    if lengths_B.device.type == "cpu" and lengths_B.numel():
        low, high = (int(bound) for bound in lengths_B.aminmax())
        if low < 0 or high > num_steps:
            raise BenchError(f"lengths run from {low} to {high}, the batch has {num_steps} steps")
    return torch.arange(num_steps, device=like.device) < lengths_B.to(like.device).unsqueeze(1)


def where(valid: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """`first` where `valid`, else `second`; `valid` is [B] or [B, T], broadcast to the right."""
    valid = valid.reshape(*valid.shape, *[1] * (first.dim() - valid.dim()))
    return torch.where(valid, first, second)


def masked(values: Tensor, valid: Tensor) -> Tensor:
    """`values` where `valid`, else zero, so that not even an infinity in padding gets through."""
    return where(valid, values, values.new_zeros(()))


def last_state(sequence_BTH: Tensor, initial_BH: Tensor, lengths_B: Tensor | None) -> Tensor:
    """State of each row after its own last step, from the states after every step."""
    if lengths_B is None:
        return sequence_BTH[:, -1]
    rows_B = torch.arange(len(lengths_B), device=sequence_BTH.device)
    last = sequence_BTH[rows_B, (lengths_B - 1).clamp(min=0)]
    return where(lengths_B > 0, last, initial_BH)


@torch.no_grad()
def initialise_(
    module: nn.Module, init: Init, scale: float | None, size: int, recurrent: Iterable[Tensor] = ()
) -> None:
    """Draw every parameter of `module` anew, in their order.

    `uniform` draws from U(-scale, scale) and `normal` from N(0, scale^2); `scale` None means
    1 / sqrt(size). `orthogonal` draws as `uniform`, then makes each square block of the
    `recurrent` matrices (one block a gate) orthogonal (Saxe et al. 2014).
    """
    bound = 1.0 / math.sqrt(size) if scale is None else scale
    for parameter in module.parameters():
        if init == "normal":
            parameter.normal_(0.0, bound)
        else:
            parameter.uniform_(-bound, bound)
    if init == "orthogonal":
        for matrix in recurrent:
            for block in matrix.chunk(-(-matrix.shape[0] // matrix.shape[1])):
                block.copy_(nn.init.orthogonal_(torch.empty_like(block)))
