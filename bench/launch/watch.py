"""Keeps workers running until their work is done, and stops them in order on Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from bench.launch.launcher import Launcher, Worker

POLL_SEC = 0.5
GRACE_SEC = 60.0
"""How long a worker that was asked to stop may take."""
BAD_INPUT = 2
INTERRUPTED = 130
DONE = (0, BAD_INPUT, INTERRUPTED, -signal.SIGINT)
"""Exit codes after which a worker is not replaced: it would only say the same again."""


@dataclass(kw_only=True)
class Ended:
    """How one worker, with those that replaced it, ended."""

    name: str
    exit_code: int
    num_restarts: int
    log: Path

    @property
    def last_line(self) -> str:
        """The last thing it said; for exit code 2 that is why."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


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
    on_event: Callable[[str], None] | None = None,
    poll_sec: float = POLL_SEC,
    grace_sec: float = GRACE_SEC,
) -> list[Ended]:
    """Run workers 1 to `num_workers` to their end; what became of each.

    A worker that died (by a signal, or with an error other than bad input) is started again, up
    to `max_restarts` times for each, as long as `is_done` says that there is work left.
    `on_tick` is called at each look. `on_event` is told of what a user should know, in one line.

    Ctrl-C, SIGTERM and SIGHUP are passed on to the workers as SIGINT; when all have ended,
    KeyboardInterrupt is raised. A second one, or `grace_sec`, kills them. Any other exception, as
    from `on_tick`, stops the workers in the same way. The launcher is closed in any case.
    """
    team = _Team(
        launcher=launcher,
        command_for=command_for,
        environment=environment,
        logs=logs,
        max_restarts=max_restarts,
        on_event=on_event or _silent,
    )
    try:
        with _signals_as_interrupts():
            try:
                for number in range(1, num_workers + 1):
                    team.start(number)
                on_tick()
                while not team.look(is_done):
                    time.sleep(poll_sec)
                    on_tick()
            except BaseException:
                team.stop(poll_sec=min(poll_sec, 0.1), grace_sec=grace_sec)
                raise
    finally:
        launcher.close()
    return [team.ended[number] for number in sorted(team.ended)]


@dataclass(kw_only=True)
class _Team:
    """The workers that run and how the others ended."""

    launcher: Launcher
    command_for: Callable[[int], Sequence[str]]
    environment: Mapping[str, str]
    logs: Path
    max_restarts: int
    on_event: Callable[[str], None]
    running: dict[int, Worker] = field(default_factory=dict)
    ended: dict[int, Ended] = field(default_factory=dict)
    num_restarts: dict[int, int] = field(default_factory=dict)

    def start(self, number: int) -> None:
        self.running[number] = self.launcher.start(
            self.command_for(number),
            environment=self.environment,
            log=self._log(number),
            name=_name(number),
        )

    def look(self, is_done: Callable[[], bool]) -> bool:
        """Take note of who ended, replace who died; whether all have ended."""
        for number, worker in list(self.running.items()):
            code = worker.exit_code()
            if code is None:
                continue
            del self.running[number]
            used = self.num_restarts.get(number, 0)
            if code in DONE or is_done() or used >= self.max_restarts:
                self._note_end(number, code)
                continue
            self.num_restarts[number] = used + 1
            self.on_event(
                f"{_name(number)} {_died(code)}; started again ({used + 1} of {self.max_restarts})"
            )
            self.start(number)
        return not self.running

    def stop(self, *, poll_sec: float, grace_sec: float) -> None:
        """Ask all to end, wait, and kill those that do not; a second Ctrl-C kills at once."""
        try:
            for worker in self.running.values():
                worker.interrupt()
            until = time.monotonic() + grace_sec
            while time.monotonic() < until and not self.look(lambda: True):
                time.sleep(poll_sec)
        except KeyboardInterrupt:
            self.on_event("stopping at once")
        finally:
            for worker in self.running.values():
                worker.kill()

    def _note_end(self, number: int, code: int) -> None:
        end = Ended(
            name=_name(number),
            exit_code=code,
            num_restarts=self.num_restarts.get(number, 0),
            log=self._log(number),
        )
        self.ended[number] = end
        if code not in (0, INTERRUPTED, -signal.SIGINT):
            self.on_event(f"{end.name} {_died(code)}: {end.last_line} (see {end.log})")

    def _log(self, number: int) -> Path:
        return self.logs / f"{_name(number)}.log"


def _silent(_: str) -> None:
    pass


def _name(number: int) -> str:
    return f"worker-{number}"


def _died(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


@contextlib.contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """SIGTERM and a closed terminal stop the workers as Ctrl-C does."""

    def interrupt(*_: int | FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                previous[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
