"""Trackers of runs: a failing backend costs a warning, never the run."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

from bench.core.ranks import is_first_process
from bench.core.record import Record
from bench.tracking.journal import Journal
from bench.tracking.options import INSTALL_WANDB, Kind
from bench.tracking.tracker import Backend, Gradients, Metrics, NoTracker, TrackedRun, Tracker

TITLES = {"wandb": "W&B", "tensorboard": "TensorBoard", "mlflow": "MLflow"}


def start_tracker(kind: Kind, run: TrackedRun) -> Tracker:
    """Start the tracker named by `--track`; only the first process of a run has one."""
    if kind == "none" or not is_first_process(os.environ):
        return NoTracker()
    if kind == "wandb" and find_spec("wandb") is None:
        _say_once(f"note: wandb is not installed, the run is not tracked ({INSTALL_WANDB})")
        return NoTracker()
    return GuardedTracker(
        _backend(kind, run),
        Journal(run.folder),
        title=TITLES[kind],
        gradient_steps=run.options.gradients,
    )


@functools.cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _backend(kind: Kind, run: TrackedRun) -> Backend:
    if kind == "wandb":
        from bench.tracking.wandb_run import WandbRun

        return WandbRun(run)
    if kind == "tensorboard":
        from bench.tracking.tensorboard import TensorBoardRun

        return TensorBoardRun(run)
    from bench.tracking.mlflow import MlflowRun

    return MlflowRun(run)


class GuardedTracker:
    """Tracker that drops its backend at the first failure, with one warning for the user."""

    def __init__(
        self, backend: Backend, journal: Journal, *, title: str, gradient_steps: int = 0
    ) -> None:
        self.gradient_steps = gradient_steps
        self._backend, self._journal, self._title = backend, journal, title
        self._has_failed = self._has_warned = False
        self._guard(lambda: backend.start(journal.rows(), self._warn))

    def log(self, metrics: Metrics, *, step: int) -> None:
        self._guard(lambda: self._journal.append(metrics, step=step))
        self._guard(lambda: self._backend.log(metrics, step=step))

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        self._guard(lambda: self._backend.log_gradients(gradients, step=step))

    def finish(self, record: Record) -> None:
        self._guard(lambda: self._backend.finish(record))

    def abandon(self) -> None:
        self._guard(self._backend.abandon)

    def _guard(self, action: Callable[[], None]) -> None:
        if self._has_failed:
            return
        try:
            with silent_logging():
                action()
        except Exception as error:
            self._has_failed = True
            self._warn(f"{self._title} failed ({one_line(error)}); the run continues untracked")
            with suppress(Exception), silent_logging():
                self._backend.discard()

    def _warn(self, line: str) -> None:
        """Warn once, however many failures follow from the first."""
        if not self._has_warned:
            print(f"warning: {line}", file=sys.stderr, flush=True)
        self._has_warned = True


def one_line(error: Exception) -> str:
    """First line of an error's message, or its type."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(":") if lines else type(error).__name__


def call_within(seconds: float, action: Callable[[], None]) -> None:
    """Call what may never return; TimeoutError after so many seconds."""
    failures: list[BaseException] = []

    def call() -> None:
        try:
            action()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
    if failures:
        raise failures[0]


@contextmanager
def silent_logging() -> Iterator[None]:
    """Keep a log file on a full disk from filling the terminal with tracebacks."""
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = before
