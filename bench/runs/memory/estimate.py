"""The memory of a run, from an objective whose weights are drawn and not yet trained."""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass
from typing import Any

import torch

from bench.core.config import num_processes
from bench.core.provenance import resident_bytes
from bench.runs.memory.needs import Needs, needs, num_bytes
from bench.runs.memory.tracing import (
    PART_BYTES,
    Evaluation,
    evaluation_bytes,
    num_rows_in,
    of_all_rows,
    some_rows,
    training_bytes,
)
from bench.seq2seq.objective import WritingObjective
from bench.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run needs of a device, and what it does there."""

    needs: Needs
    host_bytes: int
    """Libraries and corpus, which on a GPU lie in the machine's own memory."""
    num_steps: int
    """Of an epoch."""
    num_rows: int
    """Of the largest batch's part on one device."""
    num_units: int


def estimate(objective: Objective, device: torch.device) -> Estimate:
    """Estimate what one of the devices that train the objective holds at its peak."""
    objective.to(device).prepare()
    config, device_type = objective.config, device.type
    num_parts = num_processes(config.trainer) * config.trainer.accumulate
    loader = objective.train_loader(rank=0, world_size=num_parts)
    batches = loader.largest()
    base = _base_bytes(objective, batches[0])
    largest = max(batches, key=objective.units_in)
    return Estimate(
        needs=needs(
            objective,
            config,
            training_step=max(training_step(objective, batch) for batch in batches),
            evaluation=max(_evaluation(objective, split) for split in _evaluations(objective)),
            base=base if device_type == "cpu" else 0,
            device_type=device_type,
        ),
        host_bytes=base,
        num_steps=len(loader),
        num_rows=num_rows_in(largest),
        num_units=objective.units_in(largest),
    )


def _base_bytes(objective: Objective, batch: Any) -> int:
    """What the process holds besides the weights, once a row has gone through.

    Libraries are loaded as operations are first asked for.
    """
    training_bytes(objective, some_rows(batch, 1))
    (valid, *_) = objective.evaluation_loader("valid").largest()
    evaluation_bytes(objective, some_rows(valid, 1), "valid")
    on_host = [part for part in objective.parameters() if part.device.type == "cpu"]
    _give_back()
    return resident_bytes() - num_bytes(on_host)


def _give_back() -> None:
    """Let the C library return to the system what tensors have left, where it can do so (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def training_step(objective: Objective, batch: Any) -> int:
    """What a step of a batch, or of a part of one, holds."""
    if objective.whole_batches is not None:  # then no part of the rows tells of the whole
        return training_bytes(objective, batch)
    return of_all_rows(
        lambda part: training_bytes(objective, part),
        batch,
        num_rows=num_rows_in(batch),
        part_bytes=PART_BYTES[objective.device.type],
    )


def _evaluations(objective: Objective) -> tuple[Evaluation, ...]:
    """A search of many words holds the more the wider its beam is, which validation's is not."""
    return ("valid", "test") if isinstance(objective, WritingObjective) else ("valid",)


def _evaluation(objective: Objective, split: Evaluation) -> int:
    return max(
        of_all_rows(
            lambda part: evaluation_bytes(objective, part, split),
            batch,
            num_rows=num_rows_in(batch),
            part_bytes=PART_BYTES[objective.device.type],
        )
        for batch in objective.evaluation_loader(split).largest()
    )
