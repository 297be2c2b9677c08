"""What a run would need, told before anything is trained and without leaving a trace.

The corpus is read as the run would read it; no record, checkpoint or folder is written.
"""

from __future__ import annotations

from pathlib import Path

from bench.cli.listing import aligned
from bench.core.config import num_processes
from bench.core.provenance import resident_bytes
from bench.core.suite import Suite
from bench.runs.memory.estimate import Estimate, estimate
from bench.runs.memory.wording import in_one_unit, memory_table
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of, set_machine
from bench.training.baselines import BASELINES
from bench.training.checkpoint import LAST
from bench.training.fit import make_trainer, quiet_lightning
from bench.training.objective import Objective
from bench.training.objectives import objective_class


def dry_run(resolved: Resolved, suite: Suite) -> str:
    """The run's names and sizes, and the memory that one of its devices needs."""
    set_machine(resolved.config.trainer)
    corpus = corpus_of(resolved)
    if resolved.config.model["name"] in BASELINES:
        return "\n".join([_names(resolved, suite), _of_baseline(resolved)])
    with quiet_lightning():  # the Trainer knows the device, or what is wrong with the wish for it
        device = make_trainer(resolved.config.trainer, [], None).strategy.root_device
    # Values do not matter here: the run that this one begins with need not be there yet.
    objective = objective_class(resolved.objective)(resolved.config, corpus)
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
