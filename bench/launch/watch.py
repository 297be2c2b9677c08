"""Keeps workers running until their work is done, and stops them in order on Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from bench.launch.launcher import Launcher, Worker

POLL_SEC = 0.5
GRACE_SEC = 60.0
"""Time that an interrupted worker has to end."""
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
FINAL = (0, EXIT_BAD_INPUT, EXIT_INTERRUPTED, -signal.SIGINT)
"""Exit codes after which a worker is not replaced: it would end in the same way."""
LOG_TAIL_BYTES = 2**16


@dataclass(kw_only=True)
class WorkerExit:
    """Final exit of one worker and the number of its restarts."""

    name: str
    exit_code: int
    num_restarts: int
    log: Path


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
    poll_sec: float = POLL_SEC,
    grace_sec: float = GRACE_SEC,
) -> list[WorkerExit]:
    """Run workers 1 to `num_workers` until they end.

    A worker that died (by a signal, or with an error other than bad input) is restarted, up to
    `max_restarts` times each, until `is_done`. `on_tick` is called at each poll, `on_event` with a
    line for each restart and failure.

    Ctrl-C, SIGTERM and SIGHUP are passed on to the workers as SIGINT; when all have ended,
    KeyboardInterrupt is raised. A second one, or `grace_sec`, kills them. Any other exception, as
    from `on_tick`, stops the workers in the same way. The launcher is closed in any case.
    """
    pool = _WorkerPool(
        launcher=launcher,
        command_for=command_for,
        environment=environment,
        logs=logs,
        max_restarts=max_restarts,
        on_event=on_event,
    )
    # Under nohup SIGHUP is ignored, and stays so.
    numbers = (signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    try:
        with handle_signals(heeded, raise_interrupt):
            try:
                for number in range(1, num_workers + 1):
                    pool.start(number)
                on_tick()
                while not pool.poll(is_done):
                    time.sleep(poll_sec)
                    on_tick()
            except BaseException:
                pool.stop(poll_sec=min(poll_sec, 0.1), grace_sec=grace_sec)
                raise
    finally:
        launcher.close()
    return [pool.exits[number] for number in sorted(pool.exits)]


@dataclass(kw_only=True)
class _WorkerPool:
    """Running workers and the exits of the others, by number."""

    launcher: Launcher
    command_for: Callable[[int], Sequence[str]]
    environment: Mapping[str, str]
    logs: Path
    max_restarts: int
    on_event: Callable[[str], None]
    running: dict[int, Worker] = field(default_factory=dict)
    exits: dict[int, WorkerExit] = field(default_factory=dict)
    num_restarts: dict[int, int] = field(default_factory=dict)

    def start(self, number: int) -> None:
        self.running[number] = self.launcher.start(
            self.command_for(number),
            environment=self.environment,
            log=self._log(number),
            name=_name(number),
        )

    def poll(self, is_done: Callable[[], bool]) -> bool:
        """Record exits and restart workers that died; True once all have ended."""
        for number, worker in list(self.running.items()):
            code = worker.exit_code()
            if code is None:
                continue
            del self.running[number]
            used = self.num_restarts.get(number, 0)
            if code in FINAL or is_done() or used >= self.max_restarts:
                self._record_exit(number, code)
                continue
            self.num_restarts[number] = used + 1
            self.on_event(
                f"{_name(number)} {_describe(code)}; "
                f"started again ({used + 1} of {self.max_restarts})"
            )
            self.start(number)
        return not self.running

    def stop(self, *, poll_sec: float, grace_sec: float) -> None:
        """Interrupt all, wait, and kill those that remain; a second Ctrl-C kills at once."""
        try:
            for worker in self.running.values():
                worker.interrupt()
            until = time.monotonic() + grace_sec
            while time.monotonic() < until and not self.poll(lambda: True):
                time.sleep(poll_sec)
        except KeyboardInterrupt:
            self.on_event("stopping at once")
        finally:
            for worker in self.running.values():
                worker.kill()

    def _record_exit(self, number: int, code: int) -> None:
        name, log = _name(number), self._log(number)
        self.exits[number] = WorkerExit(
            name=name, exit_code=code, num_restarts=self.num_restarts.get(number, 0), log=log
        )
        if code not in (0, EXIT_INTERRUPTED, -signal.SIGINT):
            self.on_event(f"{name} {_describe(code)}: {last_line(log)} (see {log})")

    def _log(self, number: int) -> Path:
        return self.logs / f"{_name(number)}.log"


def _name(number: int) -> str:
    return f"worker-{number}"


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
