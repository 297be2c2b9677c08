"""Whether a run may be divided among processes, and which of them this one is."""

from __future__ import annotations

import os

from bench.config import num_processes
from bench.errors import BenchError
from bench.objectives import objective_class
from bench.ranks import Rank, find_rank
from bench.resolve import Resolved

ONE_DEVICE = "leave out --trainer.devices and --trainer.num-nodes"


def rank_of(resolved: Resolved) -> Rank | None:
    """This process's rank in the run; None where its processes are yet to be started.

    Raises BenchError for a run that cannot be divided, with the reason, and for processes that
    were started in another number than the run asks for.
    """
    trainer = resolved.config.trainer
    reason = objective_class(resolved.objective).undivided if num_processes(trainer) > 1 else None
    if reason is not None:
        raise BenchError(
            f"{resolved.objective} cannot be divided among devices, because {reason}: {ONE_DEVICE}"
        )
    return find_rank(os.environ, devices=trainer.devices, num_nodes=trainer.num_nodes)


def check_one_process(resolved: Resolved, *, why: str) -> None:
    """Raise BenchError, saying `why`, for a run of several processes."""
    if num_processes(resolved.config.trainer) > 1:
        raise BenchError(f"{why}: {ONE_DEVICE}")
