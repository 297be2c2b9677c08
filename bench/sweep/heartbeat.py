"""A worker's signs of life while a trial runs, and work that Ctrl-C may not cut in two."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from bench.sweep.storage import Storage

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def beating(storage: Storage, trial_id: int) -> Iterator[None]:
    """Record a heartbeat every so often, from a thread of its own, until the block is over."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(storage.heartbeat_sec):
            # A storage that is out of reach may be back at the next beat.
            with contextlib.suppress(StorageInternalError, SQLAlchemyError):
                storage.studies.record_heartbeat(trial_id)
        storage.studies.remove_session()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM until the block is over; then KeyboardInterrupt is raised."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def put_off(number: int, _: FrameType | None) -> None:
        caught.append(number)

    before = {number: signal.signal(number, put_off) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if caught:
        raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[None]:
    """Make SIGTERM, which schedulers and `docker stop` send, the same as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: int | FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
