"""`bench` in two processes that know what srun tells the tasks of a job step."""

from __future__ import annotations

import os
import socket
import sys

from forked import in_processes

from bench.cli import main
from bench.core.ranks import Rank


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def task(rank: Rank, port: int) -> None:
    for name in (*rank.as_environment(), "TORCHELASTIC_USE_AGENT_STORE"):
        os.environ.pop(name, None)
    os.environ.update(
        SLURM_JOB_ID="77",
        SLURM_STEP_ID="0",
        SLURM_STEP_NUM_TASKS=str(rank.size),
        SLURM_STEP_NODELIST="localhost",
        SLURM_NTASKS=str(rank.size),
        SLURM_PROCID=str(rank.number),
        SLURM_LOCALID=str(rank.local),
        SLURM_NODEID="0",
        MASTER_PORT=str(port),
    )
    sys.argv = ["bench", "run", *sys.argv[1:]]
    main()


if __name__ == "__main__":
    import pytorch_lightning  # noqa: F401  # once, before the processes part

    port = free_port()
    codes = in_processes(2, lambda rank: task(rank, port))
    raise SystemExit(any(codes))
