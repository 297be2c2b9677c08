"""Stands between a run and its tracker: whatever the tracker does, the run goes on."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bench.core.record import Record
from bench.tracking.journal import Journal
from bench.tracking.tracker import Backend, Gradients, Numbers


class GuardedTracker:
    """A backend that is left alone after its first failure, with one warning for the user."""

    def __init__(
        self, backend: Backend, journal: Journal, *, title: str, gradient_steps: int = 0
    ) -> None:
        self.gradient_steps = gradient_steps
        self._backend, self._journal, self._title = backend, journal, title
        self._is_out = self._has_warned = False
        self._guard(lambda: backend.start(journal.rows(), self._warn))

    def log(self, numbers: Numbers, *, step: int) -> None:
        """See `Tracker`."""
        self._guard(lambda: self._journal.append(numbers, step=step))
        self._guard(lambda: self._backend.log(numbers, step=step))

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        """See `Tracker`."""
        self._guard(lambda: self._backend.log_gradients(gradients, step=step))

    def finish(self, record: Record) -> None:
        """See `Tracker`."""
        self._guard(lambda: self._backend.finish(record))

    def abandon(self) -> None:
        """See `Tracker`."""
        self._guard(self._backend.abandon)

    def _guard(self, action: Callable[[], None]) -> None:
        if self._is_out:
            return
        try:
            with silent_logging():
                action()
        except Exception as error:
            self._is_out = True
            self._warn(f"{self._title} is out ({one_line(error)}); the run goes on untracked")
            self._discard()

    def _discard(self) -> None:
        with suppress(Exception), silent_logging():
            self._backend.discard()

    def _warn(self, line: str) -> None:
        """One warning, whatever follows from the same trouble."""
        if not self._has_warned:
            print(f"warning: {line}", file=sys.stderr, flush=True)
        self._has_warned = True


def one_line(error: Exception) -> str:
    """The first line of what an error says, or its kind."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(":") if lines else type(error).__name__


def within(seconds: float, action: Callable[[], None]) -> None:
    """Carry out what may never come to an end; TimeoutError after so many seconds."""
    failures: list[BaseException] = []

    def carry_out() -> None:
        try:
            action()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no end of it in {seconds:g} s")
    if failures:
        raise failures[0]


@contextmanager
def silent_logging() -> Iterator[None]:
    """A tracker's log file on a full disk must not fill the terminal with tracebacks."""
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = before
