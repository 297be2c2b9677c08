"""What the processes that train one model together tell each other; of one process, nothing.

Called by all of them at the same place, or the others wait in vain.
"""

from __future__ import annotations

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
