"""Which of a run's processes this one is, and what has only one."""

from __future__ import annotations

import os

from bench.core.config import num_processes
from bench.core.errors import BenchError
from bench.core.ranks import Rank, find_rank
from bench.runs.resolve import Resolved

ONE_DEVICE = "leave out --trainer.devices and --trainer.num-nodes"


def rank_of(resolved: Resolved) -> Rank | None:
    """This process's rank in the run; None where its processes are yet to be started.

    Raises BenchError for processes that were started in another number than the run asks for.
    """
    trainer = resolved.config.trainer
    return find_rank(os.environ, devices=trainer.devices, num_nodes=trainer.num_nodes)


def check_one_process(resolved: Resolved, *, why: str) -> None:
    """Raise BenchError, saying `why`, for a run of several processes."""
    if num_processes(resolved.config.trainer) > 1:
        raise BenchError(f"{why}: {ONE_DEVICE}")
