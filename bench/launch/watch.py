"""Keeps workers running until their work is done, and stops them in order on Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bench.launch.launcher import Launcher, Worker, WorkerSpec

POLL_SEC = 0.5
GRACE_SEC = 60.0
"""Time that an interrupted worker has to end."""
EXIT_ERROR = 1
"""Exit code of Python after an exception."""
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
FINAL = (0, EXIT_BAD_INPUT, EXIT_INTERRUPTED, -signal.SIGINT)
"""Exit codes after which a worker is not replaced: it would end in the same way."""
LOG_TAIL_BYTES = 2**16


@dataclass(kw_only=True)
class WatchedWorker:
    """One worker, including its restarts."""

    number: int
    log: Path
    handle: Worker | None = None
    """None before the start and after the end."""
    exit_code: int | None = None
    num_restarts: int = 0
    error: tuple[str, int] | None = None
    """Last line of the log at the last exit by an error, and the progress made until then."""

    @property
    def name(self) -> str:
        return f"worker-{self.number}"


def watch(
    launcher: Launcher,
    command_for: Callable[[int], Sequence[str]],
    num_workers: int,
    *,
    environment: Mapping[str, str],
    logs: Path,
    on_tick: Callable[[], None],
    is_done: Callable[[], bool],
    max_restarts: int,
    on_event: Callable[[str], None] = lambda _: None,
    progress: Callable[[], int] = lambda: 0,
    poll_sec: float = POLL_SEC,
    grace_sec: float = GRACE_SEC,
) -> list[WatchedWorker]:
    """Run workers 1 to `num_workers` until they end, and close the launcher.

    A worker that died (by a signal, or with an error other than bad input) is restarted, up to
    `max_restarts` times each, until `is_done`. One that ends twice with the same error is not,
    unless there was `progress`, a number that grows, in between. `on_tick` is called at each poll,
    `on_event` with a line for each restart and failure.

    Ctrl-C, SIGTERM and SIGHUP reach the workers as SIGINT; KeyboardInterrupt is raised when all
    have ended. A second one, or `grace_sec`, kills them. Other exceptions stop the workers, too.
    """
    numbers = range(1, num_workers + 1)
    # Two machines, or two supervisors on one, may share the folder.
    place = f"{socket.gethostname()}-{os.getpid()}"
    pool = _Pool(
        workers=[WatchedWorker(number=n, log=logs / f"worker-{n}-{place}.log") for n in numbers],
        start=lambda worker: launcher.start(
            WorkerSpec(
                command=tuple(command_for(worker.number)),
                environment=dict(environment),
                log=worker.log,
                name=worker.name,
            )
        ),
        max_restarts=max_restarts,
        on_event=on_event,
        progress=progress,
    )
    # Under nohup SIGHUP is ignored, and stays so.
    signals = (signal.SIGTERM, signal.SIGHUP)
    handled = [number for number in signals if signal.getsignal(number) != signal.SIG_IGN]
    try:
        with handle_signals(handled, raise_interrupt):
            try:
                pool.run(on_tick, is_done, poll_sec)
            except BaseException:
                pool.stop(poll_sec=min(poll_sec, 0.1), grace_sec=grace_sec)
                raise
    finally:
        launcher.close()
    return pool.workers


@dataclass(frozen=True, kw_only=True)
class _Pool:
    workers: list[WatchedWorker]
    start: Callable[[WatchedWorker], Worker]
    max_restarts: int
    on_event: Callable[[str], None]
    progress: Callable[[], int]

    def run(
        self, on_tick: Callable[[], None], is_done: Callable[[], bool], poll_sec: float
    ) -> None:
        for worker in self.workers:
            worker.handle = self.start(worker)
        on_tick()
        while not self.poll(is_done):
            time.sleep(poll_sec)
            on_tick()

    def poll(self, is_done: Callable[[], bool]) -> bool:
        """Record exits and restart workers that died; True once all have ended."""
        for worker in self.workers:
            if worker.handle is None or (code := worker.handle.exit_code()) is None:
                continue
            worker.handle, what = None, f"{worker.name} {_describe(code)}"
            is_final = code in FINAL or self._is_repeated(worker, code)
            if is_final or is_done() or worker.num_restarts >= self.max_restarts:
                worker.exit_code = code
                if code not in (0, EXIT_INTERRUPTED, -signal.SIGINT):
                    self.on_event(f"{what}: {last_line(worker.log)} (see {worker.log})")
                continue
            worker.num_restarts += 1
            count = f"{worker.num_restarts} of {self.max_restarts}"
            self.on_event(f"{what}; started again ({count})")
            worker.handle = self.start(worker)
        return all(worker.handle is None for worker in self.workers)

    def _is_repeated(self, worker: WatchedWorker, code: int) -> bool:
        """Test whether a worker ended by the error of last time, without progress in between."""
        before = worker.error
        worker.error = (last_line(worker.log), self.progress()) if code == EXIT_ERROR else None
        return before is not None and worker.error == before

    def stop(self, *, poll_sec: float, grace_sec: float) -> None:
        """Interrupt all, wait, and kill those that remain; a second Ctrl-C kills at once."""
        try:
            for worker in self.workers:
                if worker.handle:
                    worker.handle.interrupt()
            until = time.monotonic() + grace_sec
            while time.monotonic() < until and not self.poll(lambda: True):
                time.sleep(poll_sec)
        except KeyboardInterrupt:
            self.on_event("stopping at once")
        finally:
            for worker in self.workers:
                if worker.handle:
                    worker.handle.kill()


def _describe(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def last_line(log: Path) -> str:
    """Last line of a log that is not blank; after exit code 2 it says what was wrong."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES), os.SEEK_SET)
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@contextlib.contextmanager
def handle_signals(
    numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Install a handler until the block ends; without effect outside the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.signal(number, handler) for number in numbers if is_main}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)


def raise_interrupt(*_: int | FrameType | None) -> None:
    """Signal handler that acts as Ctrl-C does."""
    raise KeyboardInterrupt
