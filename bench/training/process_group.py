"""The processes that train one model together: how they meet, are called, and notice a loss."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from bench.core.errors import BenchError, LostProcessError
from bench.core.ranks import ALONE, Rank

PATIENCE = timedelta(minutes=30)
"""Longest wait for a silent process; one that died is noticed at once."""
POLL_SEC = 0.1
FAREWELL_SEC = 10.0
"""Longest wait of the first process until the others know that there is nothing to do."""
CALLED, DISMISSED = b"called", b"dismissed"
_OF_A_LOSS = re.compile(
    r"gloo|nccl|TCPStore|connection (closed|reset|refused)|broken pipe|socket|timed out", re.I
)


class ProcessGroup:
    """This process among those of its run; alone, it sends nothing and waits for nothing.

    The first process decides whether there is something to train (another run may hold the
    folder, the record may be there) and then calls the others or dismisses them.
    """

    def __init__(self, rank: Rank = ALONE, *, run: str = "") -> None:
        self.rank = rank
        self.run = run
        """Name of the run, which all processes have to agree on."""
        self._store = None if rank.size == 1 else _meet(rank)
        # torchrun may start all processes again with the store that it has.
        self._attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._decided = False
        self._num_trainings = 0

    def call(self) -> None:
        """Have the others train, too."""
        self._decide(CALLED + self.run.encode())

    def dismiss(self) -> None:
        """Let the others go, where they have not been called."""
        if self._store is not None and not self._decided:
            self._decide(DISMISSED)
            until = time.monotonic() + FAREWELL_SEC
            with suppress(RuntimeError):
                while self._num_heard(0) < self.rank.size - 1 and time.monotonic() < until:
                    time.sleep(POLL_SEC)

    def _decide(self, word: bytes) -> None:
        if self._store is not None:
            self._decided = True
            with _losses_told():
                self._store.set(f"decision/{self._attempt}", word)

    def is_called(self) -> bool:
        """Wait for the first process's decision; True where this process is to train.

        Raises BenchError where the first process carries out another run, since it sees other data.
        """
        assert self._store is not None
        with _losses_told():
            while not self._store.check([f"decision/{self._attempt}"]):
                time.sleep(POLL_SEC)
            decision = bytes(self._store.get(f"decision/{self._attempt}"))
            self._num_heard(1)
        run = decision.removeprefix(CALLED).decode()
        if decision.startswith(CALLED) and run != self.run:
            raise BenchError(
                f"process {self.rank.number} sees other data than the first: run {self.run} here, "
                f"{run} there; give all nodes the same files"
            )
        return decision.startswith(CALLED)

    def _num_heard(self, more: int) -> int:
        """Number of processes that know the decision, after adding so many."""
        assert self._store is not None
        return int(self._store.add(f"heard/{self._attempt}", more))

    @contextmanager
    def training(self) -> Iterator[None]:
        """Context of training in step; LostProcessError where another process has gone."""
        if self._store is None:
            yield
            return
        self._num_trainings += 1
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with _losses_told():
            dist.init_process_group(
                backend,
                store=_apart(self._store, f"training/{self._attempt}/{self._num_trainings}"),
                rank=self.rank.number,
                world_size=self.rank.size,
                timeout=PATIENCE,
            )
            try:
                yield
                dist.barrier()
            finally:
                dist.destroy_process_group()


def _meet(rank: Rank) -> Any:
    """The store through which the processes find each other."""
    os.environ.update(rank.as_environment())  # as torch and Lightning ask for it
    with _losses_told():
        found = dist.rendezvous("env://", timeout=PATIENCE)  # type: ignore[attr-defined]
        store, *_ = next(iter(found))
    return store


def _apart(store: Any, name: str) -> Any:
    """Store of one training, so that values of an earlier one are not read."""
    return dist.PrefixStore(name, store)  # type: ignore[attr-defined]


@contextmanager
def _losses_told() -> Iterator[None]:
    """Torch's errors over a process that does not answer, in words for the user."""
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or _OF_A_LOSS.search(str(error))):
            raise
        raise LostProcessError(
            "another process of this run has ended or no longer answers; the same command goes on "
            "from the last checkpoint"
        ) from error


class SuddenEnd(pl.Callback):
    """Lets SIGTERM end the process at once, which checkpoints are made for.

    Lightning's own handler sends something to the other processes, out of turn, and hangs with
    them. It is put in before training starts, and what was there before comes back after it.
    """

    def on_train_start(self, *_: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
