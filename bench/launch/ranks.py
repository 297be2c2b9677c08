"""Processes of one run on this machine, one per device, started and ended together.

Each reads its rank from environment variables, as under torchrun. Rank 0 inherits the output of
this process; of the others only stderr is shown, and only of the one that failed.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from bench.core.errors import LostProcessError
from bench.core.ranks import Rank
from bench.launch.local import signal_group, start_process

POLL_SEC = 0.1
GRACE_SEC = 15.0
"""Time that processes have to end by themselves once one of them has."""
EXIT_PEER_LOST = 75
"""Exit code of a process that ended because another one did: EX_TEMPFAIL of sysexits.h."""
PARENT_REPORTS = "BENCH_SPOKEN_FOR"
"""Environment variable of processes whose end is reported by the process that started them."""


@dataclass(kw_only=True)
class _Process:
    rank: int
    popen: subprocess.Popen[bytes]
    stderr: IO[bytes] | None
    was_killed: bool = False

    @property
    def code(self) -> int | None:
        """Exit code; None while it runs and after `_kill`."""
        return None if self.was_killed else self.popen.poll()


def run_ranks(command: Sequence[str], num_ranks: int, *, grace_sec: float = GRACE_SEC) -> int:
    """Run `command` in `num_ranks` processes; return the exit code of the first failure, or 0.

    Raises LostProcessError if one was killed. Ctrl-C is passed on. None outlives this process.
    """
    with _processes(command, num_ranks) as processes:
        try:
            while all(process.code in (None, 0) for process in processes):
                if not _running(processes):
                    return 0
                time.sleep(POLL_SEC)
            _wait(processes, grace_sec)
        except KeyboardInterrupt:
            for process in processes:
                if process.popen.poll() is None:
                    signal_group(process.popen, signal.SIGINT)
            _wait(processes, grace_sec)
            raise
        _kill(processes)
        return _report_failure(processes)


@contextlib.contextmanager
def _processes(command: Sequence[str], num_ranks: int) -> Iterator[list[_Process]]:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    # A store opened here reserves the rendezvous port before any process connects.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes: list[_Process] = []
    try:
        for number in range(num_ranks):
            rank = Rank(number=number, size=num_ranks, local=number, port=store.port)
            processes.append(_start(command, rank))
        yield processes
    finally:
        _kill(processes)


def _start(command: Sequence[str], rank: Rank) -> _Process:
    variables = {
        **rank.as_environment(),
        "LOCAL_WORLD_SIZE": str(rank.size),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        PARENT_REPORTS: "1",
    }
    stderr = None if rank.is_first else tempfile.TemporaryFile()  # noqa: SIM115
    stdout = None if rank.is_first else subprocess.DEVNULL
    popen = start_process(command, variables, stdout=stdout, stderr=stderr)
    return _Process(rank=rank.number, popen=popen, stderr=stderr)


def _running(processes: Sequence[_Process]) -> bool:
    return any(process.popen.poll() is None for process in processes)


def _wait(processes: Sequence[_Process], grace_sec: float) -> None:
    until = time.monotonic() + grace_sec
    while _running(processes) and time.monotonic() < until:
        time.sleep(POLL_SEC)


def _kill(processes: Sequence[_Process]) -> None:
    for process in processes:
        if process.popen.poll() is None:
            process.was_killed = True
            signal_group(process.popen, signal.SIGKILL)
            process.popen.wait()


def _report_failure(processes: Sequence[_Process]) -> int:
    """Exit code of the first process with a failure of its own, whose stderr is printed."""
    for process in processes:
        code = process.code
        if code is None or code in (0, EXIT_PEER_LOST):
            continue
        if code < 0:
            raise LostProcessError(
                f"process {process.rank + 1} of {len(processes)} was killed by "
                f"{signal.Signals(-code).name}; the same command goes on from the last checkpoint"
            )
        if process.stderr is not None:
            process.stderr.seek(0)
            sys.stderr.write(process.stderr.read().decode(errors="replace"))
        return code
    raise LostProcessError("a process was lost; the same command goes on from the last checkpoint")
