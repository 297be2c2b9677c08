"""Other processes, as tests look at them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether a process is alive; one that has ended and waits to be asked for is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], bool], *, limit_sec: float = 30.0) -> None:
    """Wait until something holds, for so long at the most."""
    until = time.monotonic() + limit_sec
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
