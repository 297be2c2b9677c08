"""What a step of training or evaluation holds, found on parts of a batch.

A step of a few rows is carried out while its storages are followed. What it holds grows along a
line with the rows, so two small parts say what the whole batch takes, at a fraction of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from bench.core.errors import BenchError
from bench.runs.memory.storages import StorageTracker
from bench.training.objective import DivergedError, Objective
from bench.training.precision import autocast

Evaluation = Literal["valid", "test"]
Held = Callable[[Any], int]
"""Bytes that a step of a batch holds at its peak."""
FIRST_PART = 32
"""One row of so many is tried first, but two at the least: a single one is spared copies."""
PART_BYTES = {"cpu": 64 << 20, "cuda": 1 << 30}
"""Parts double until they hold more: then buffers of bounded size, the softmax's chunks of logits
for one, are full."""
ROWS_COUNT = 1.5
"""And until twice the rows hold so many times as much: then the peak is where rows count most, and
no longer where gradients of the weights do."""


def of_all_rows(held: Held, batch: Any, *, num_rows: int, part_bytes: int) -> int:
    """What so many rows hold: counted where that is little, else from a line through two parts."""
    size, bytes_held = 0, 0
    while size < num_rows:
        smaller, held_by_smaller = size, bytes_held
        size = min(2 * size or max(2, num_rows // FIRST_PART), num_rows)
        bytes_held = held(some_rows(batch, size))
        if held_by_smaller > part_bytes and bytes_held > ROWS_COUNT * held_by_smaller:
            break
    slope = (bytes_held - held_by_smaller) / (size - smaller)
    return round(bytes_held + slope * (num_rows - size))


def num_rows_in(batch: Any) -> int:
    """Streams, sentences, utterances or images: whatever the batch is of."""
    return max(len(part) for part in batch if part.dim())


def some_rows(batch: Any, num_rows: int) -> Any:
    """So many rows of a batch, spread over it from the first one on; padding stays."""
    place_B = torch.arange(num_rows) * num_rows_in(batch) // num_rows
    parts = (part[place_B] if part.dim() else part for part in batch)
    return type(batch)._make(parts) if hasattr(batch, "_make") else tuple(parts)


def training_bytes(objective: Objective, batch: Any) -> int:
    """What a training step holds at its peak besides the weights and one set of gradients."""
    objective.train()
    objective.begin_sequence()
    objective.zero_grad()
    try:
        with torch.enable_grad():
            held = _second_of_two(objective, batch, _train)
    except DivergedError:
        raise BenchError(
            "the loss of the first step is no number, or far above that of a guess: begin with "
            "smaller weights, see the model's and the objective's options"
        ) from None
    gradients = [p.grad for p in objective.parameters() if p.grad is not None]
    held -= sum(gradient.nbytes for gradient in gradients if not gradient.is_sparse)
    objective.zero_grad()
    objective.begin_sequence()
    return held


def _train(objective: Objective, batch: Any) -> None:
    """A step up to the optimiser's, in the order of Lightning's loop.

    Of a batch in parts, gradients are added to those of the part before.
    """
    with autocast(objective.config.trainer, objective.device):
        loss = objective.training_step(batch, 0)
    if objective.config.trainer.accumulate == 1:
        objective.zero_grad()
    objective.backward(loss)
    objective.on_after_backward()


@torch.no_grad()
def evaluation_bytes(objective: Objective, batch: Any, split: Evaluation) -> int:
    """What a step of an evaluation holds at its peak besides the weights."""
    objective.eval()
    if split == "valid":
        objective.on_validation_epoch_start()
        held = _second_of_two(objective, batch, lambda each, part: each.validation_step(part, 0))
    else:
        objective.on_test_epoch_start()
        held = _second_of_two(objective, batch, lambda each, part: each.test_step(part, 0))
    objective.begin_sequence()
    return held


def _second_of_two(objective: Objective, batch: Any, step: Callable[[Objective, Any], None]) -> int:
    """Of two equal steps: the first has no gradients yet, and no state of a batch before it."""
    device = objective.device
    batch = objective.transfer_batch_to_device(batch, device, 0)
    tracker = StorageTracker(device)
    with tracker:
        step(objective, batch)
        tracker.forget_peak()
        step(objective, batch)
    return tracker.peak_bytes + sum(part.nbytes for part in batch if isinstance(part, Tensor))
