"""One step from a batch whose parts are computed one after another.

The loss of a whole batch is a sum divided by a count that is known only after the last part. So
every part's sum is divided by the first part's count, gradients are added up, and then multiplied
by what corrects this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.training.optimiser import entries

Carried = tuple[Tensor, ...] | None
UpdateLoss = Callable[[Tensor, Tensor, Any], Tensor]


def moved(carried: Sequence[Tensor] | None, device: torch.device) -> Carried:
    """A carried state on `device`."""
    return None if carried is None else tuple(tensor.to(device) for tensor in carried)


class Accumulation:
    """The parts of the batch that is being computed; of a batch in one part, nothing to do.

    Raises BenchError for several parts where there is a reason for whole batches.
    """

    def __init__(self, num_parts: int, *, why_whole: str | None = None) -> None:
        if num_parts > 1 and why_whole is not None:
            raise BenchError(
                f"trainer.accumulate is {num_parts}, but this objective's batches cannot be "
                f"computed part by part, because {why_whole}: leave it out"
            )
        self.num_parts = num_parts
        self.part = 0
        """Part that is computed now."""
        self._divisor = self._count = torch.zeros(())
        self._batch: Any = None
        self.forget()

    @property
    def is_first(self) -> bool:
        return self.part == 0

    @property
    def is_last(self) -> bool:
        return self.part == self.num_parts - 1

    def forget(self) -> None:
        """Let every part begin without a carried state."""
        self.waiting: deque[Carried] = deque([None] * (self.num_parts - 1))

    def begin(self, batch_idx: int, carried: Carried) -> Carried:
        """Put by the state of the part before; that of the one that comes now."""
        self.part = batch_idx % self.num_parts
        self.waiting.append(carried)
        return self.waiting.popleft()

    def divisor(self, count: Tensor, batch: Any) -> Tensor:
        """Divisor of this part's loss in the place of the whole batch's count."""
        if self.num_parts == 1:
            return count
        if self.is_first:
            self._divisor, self._count = count.clamp(min=1), torch.zeros_like(count)
        self._count, self._batch = self._count + count, batch
        return self._divisor

    @torch.no_grad()
    def correct(self, update_loss: UpdateLoss, parameters: list[nn.Parameter]) -> None:
        """Make the gradients those of the whole batch's loss, once all parts are added up."""
        if self.num_parts == 1:
            return
        one = torch.ones((), dtype=torch.float64, device=self._count.device)
        whole, used = (
            update_loss(one, count, self._batch) for count in (self._count, self._divisor)
        )
        torch._foreach_mul_(entries(parameters), float(whole / used))
