"""Communication between the processes that train one model; a single process keeps its values.

Called by all of them at the same place, or the others wait in vain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

ValueT = TypeVar("ValueT")


def num_ranks() -> int:
    """Processes that train together now."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, in its own dtype."""
    total = values.clone()
    if num_ranks() > 1:
        dist.all_reduce(total)
    return total


def as_first(value: ValueT) -> ValueT:
    """The value that the first process has."""
    if num_ranks() == 1:
        return value
    told = [value]
    dist.broadcast_object_list(told, src=0)
    return told[0]


def of_each(value: ValueT) -> list[ValueT]:
    """The values of all processes, in their order."""
    if num_ranks() == 1:
        return [value]
    told: list[Any] = [None] * num_ranks()
    dist.all_gather_object(told, value)
    return cast(list[ValueT], told)


def mean_over_ranks(value: float) -> float:
    """The mean of what each process has."""
    return sum(of_each(value)) / num_ranks()


def own_rank() -> int:
    """This process's number."""
    return dist.get_rank() if num_ranks() > 1 else 0


def begin_own_stream(seed: int) -> None:
    """Let each process draw numbers of its own from now; a single one goes on with what it has."""
    if num_ranks() > 1:
        words = np.random.SeedSequence([seed, own_rank()]).generate_state(2, np.uint32)
        torch.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


# Rows of one batch gathered from all processes, with gradient.
#
# For a loss that compares an example with those of other processes. Called by all of them at the
# same place, as everything in `bench.training.collective`.


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


# The state of the random streams that training draws from, to go on where a run stopped.


def random_state() -> dict[str, Any]:
    """The state of every random stream that training draws from, as tensors."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Continue the random streams from a saved state."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
