"""Needs of a run, estimated before anything is trained and without leaving a trace.

The corpus is read as the run would read it; no record, checkpoint or folder is written.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.aligned import aligned
from bench.core.config import OptimConfig, RunConfig, num_processes
from bench.core.suite import Suite
from bench.runs.memory import (
    PART_BYTES,
    Evaluation,
    evaluation_bytes,
    num_rows_in,
    of_all_rows,
    some_rows,
    training_bytes,
)
from bench.runs.provenance import resident_bytes
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of, set_machine
from bench.training.checkpoint import LAST
from bench.training.fit import make_trainer, quiet_lightning
from bench.training.objective import Objective
from bench.training.optimiser import sparse_tables

# MicroBatches of a device's memory during a run, and when their sum peaks.
#
#     between steps    weights, gradients, the optimiser's copies, the best weights so far
#     a training step  and activations: what backward reads and what it makes
#     an evaluation    and what a batch takes without gradients
#     a checkpoint     and the file, built in memory; on a GPU the next best weights beside the last
#
# Gradients stay until the next backward pass begins, so they count throughout.


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Bytes on one device."""

    weights: int
    gradients: int
    exchange: int
    """Copies of gradients that several processes add up."""
    optimiser: int
    best_weights: int
    training_step: int
    evaluation: int
    checkpoint: int
    base: int
    """Bytes of the process before any network: libraries and corpus; none on a GPU."""
    trains_beside_best: bool
    """True where best weights are held during training; in a single epoch they come after."""

    @property
    def moments(self) -> dict[str, int]:
        """Bytes held at the moments when memory may peak."""
        kept = self.base + self.weights + self.gradients + self.exchange + self.optimiser
        during = kept + (self.best_weights if self.trains_beside_best else 0)
        return {
            "in a training step": during + self.training_step,
            "in an evaluation": during + self.evaluation,
            "while a checkpoint is made": kept + self.best_weights + self.checkpoint,
        }

    @property
    def peak(self) -> int:
        """Most that is held at once."""
        return max(self.moments.values())


def needs(
    network: nn.Module,
    config: RunConfig,
    *,
    training_step: int,
    evaluation: int,
    base: int,
    device_type: str,
) -> Needs:
    """Needs of a run of the network whose steps hold so much.

    Sparse gradients are as large as a batch has words, and count in its step.
    """
    trainer = config.trainer
    weights = num_bytes([*network.parameters(), *network.buffers()])
    sparse = [table.weight for table in sparse_tables(config.optim, network)]
    learned = num_bytes(weight for weight in network.parameters() if weight.requires_grad)
    gradients = learned - num_bytes(sparse)
    num_shards = num_processes(trainer) if trainer.strategy == "zero" else 1
    whole_state = optimiser_copies(config.optim) * learned
    optimiser = -(-whole_state // num_shards)
    best_weights = num_bytes(network.state_dict().values())  # a tied weight under both names
    has_several_epochs = trainer.max_epochs > 1
    if device_type == "cpu":
        checkpoint = weights + whole_state + best_weights  # of all shards, in the first process
    else:
        checkpoint = best_weights if has_several_epochs else 0
    return Needs(
        weights=weights,
        gradients=gradients,
        exchange=gradients if num_processes(trainer) > 1 else 0,
        optimiser=optimiser,
        best_weights=best_weights,
        training_step=training_step,
        evaluation=evaluation,
        checkpoint=checkpoint,
        base=base,
        trains_beside_best=has_several_epochs,
    )


def optimiser_copies(config: OptimConfig) -> int:
    """Numbers that the optimiser keeps for each weight."""
    if config.name == "sgd":
        return 1 if config.momentum else 0
    return 2


def num_bytes(tensors: Iterable[Tensor]) -> int:
    """Total of all parts."""
    return sum(tensor.nbytes for tensor in tensors)


# An estimate of memory as a table: part by part, then the peak and when it is.


def memory_table(needs: Needs, *, host_bytes: int, device_type: str) -> str:
    """The parts of one device; those of different moments do not add up to the peak."""
    on_cpu = device_type == "cpu"
    parts = [
        ("weights", needs.weights, ""),
        ("gradients", needs.gradients, ""),
        ("exchange", needs.exchange, "gradients that the processes add up"),
        ("optimiser", needs.optimiser, "what it keeps of each weight"),
        ("best weights", needs.best_weights, "of the best validation so far"),
        ("training step", needs.training_step, "activations of the largest batch"),
        ("evaluation", needs.evaluation, "of its largest batch, without gradients"),
        ("checkpoint", needs.checkpoint, "in the making" if on_cpu else "best weights replaced"),
        ("base", host_bytes, "libraries and corpus" + ("" if on_cpu else ", not on the device")),
    ]
    when = max(needs.moments, key=needs.moments.__getitem__)
    shown = [part for part in parts if part[1] or part[0] not in ("exchange", "optimiser")]
    shown.append(("estimated peak", needs.peak, when))
    sizes = in_one_unit([num_bytes for _, num_bytes, _ in shown])
    rows = [(name, size, what) for (name, _, what), size in zip(shown, sizes, strict=True)]
    return aligned(("memory", "a device".rjust(len(sizes[0])), ""), rows)


def in_one_unit(numbers: list[int]) -> list[str]:
    """Bytes in MB, or in GB where one is 10 GB or more, with their points under each other."""
    unit, scale = ("GB", 1e9) if max(numbers) >= 1e10 else ("MB", 1e6)
    shown = [f"{num_bytes / scale:,.1f} {unit}" for num_bytes in numbers]
    width = max(map(len, shown))
    return [size.rjust(width) for size in shown]


# The memory of a run, from an objective whose weights are drawn and not yet trained.


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated needs of a run and its device."""

    needs: Needs
    host_bytes: int
    """Libraries and corpus, which on a GPU lie in the machine's own memory."""
    num_steps: int
    """Steps of an epoch."""
    num_rows: int
    """Units in the largest batch's part on one device."""
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
    """Bytes that the process holds besides the weights, after one row.

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
    """Bytes that a training step of a batch, or of a part of one, holds."""
    if objective.whole_batches is not None:  # then no part of the rows tells of the whole
        return training_bytes(objective, batch)
    return of_all_rows(
        lambda part: training_bytes(objective, part),
        batch,
        num_rows=num_rows_in(batch),
        part_bytes=PART_BYTES[objective.device.type],
    )


def _evaluations(objective: Objective) -> tuple[Evaluation, ...]:
    """The test split as well where its search is wider than validation's."""
    return ("valid", "test") if objective.final_search == "wider" else ("valid",)


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


def dry_run(resolved: Resolved, suite: Suite) -> str:
    """The run's names and sizes, and the memory that one of its devices needs."""
    set_machine(resolved.config.trainer)
    corpus = corpus_of(resolved)
    if resolved.is_baseline:
        return "\n".join([_names(resolved, suite), _of_baseline(resolved)])
    with quiet_lightning():  # the Trainer knows the device, or what is wrong with the wish for it
        device = make_trainer(resolved.config.trainer, [], None).strategy.root_device
    # Values do not matter here: the run that this one begins with need not be there yet.
    objective = resolved.objective_class()(resolved.config, corpus)
    found = estimate(objective, device)
    table = memory_table(found.needs, host_bytes=found.host_bytes, device_type=device.type)
    return "\n".join(
        [_names(resolved, suite), "", _sizes(objective, found, device.type), "", table]
    )


def _names(resolved: Resolved, suite: Suite) -> str:
    task, run_id = resolved.card.task, resolved.run_id
    files = {
        "record": (suite.record_path(task, run_id), "there; without --again nothing is done"),
        "checkpoint": (suite.artifacts(task, run_id) / LAST, "there; without --again it goes on"),
    }
    rows = [(name, str(path), _state(path, there)) for name, (path, there) in files.items()]
    return aligned(("run", run_id, ""), rows)


def _state(path: Path, there: str) -> str:
    return there if path.is_file() else "not there yet"


def _of_baseline(resolved: Resolved) -> str:
    (base,) = in_one_unit([resident_bytes()])
    return (
        f"\n{resolved.config.model['name']} is counted, not trained: it has no gradients and no "
        f"steps. Libraries and\ncorpus take {base}; what it counts comes on top and is not "
        "estimated."
    )


def _sizes(objective: Objective, found: Estimate, device_type: str) -> str:
    trainer, unit = objective.config.trainer, objective.unit
    options = objective.config.objective
    given = {key: value for key, value in options.items() if key.startswith("batch_")}
    batch = ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in given.items())
    if trainer.accumulate > 1:
        batch += f"; in {trainer.accumulate} parts"
    rows = [
        ("devices", f"{num_processes(trainer)} x {device_type}"),
        ("batch", f"{batch}; the largest: {found.num_rows:,} rows, {found.num_units:,} {unit}s"),
        ("steps", f"{found.num_steps:,} an epoch; max epochs {trainer.max_epochs:,}"),
    ]
    num_weights = sum(weight.numel() for weight in objective.parameters())
    return aligned(("weights", f"{num_weights:,}"), rows)
