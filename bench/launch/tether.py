"""Runs a command that ends together with the process that started it.

    python tether.py PARENT_PID COMMAND...

On Linux the kernel kills the command when its parent dies; elsewhere this program stays and polls.
It is called by its path and imports the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h
POLL_SEC = 0.5
EXIT_ORPHANED = 137


def main(parent: int, command: Sequence[str]) -> int:
    """Become the command, or run it and return its exit code."""
    # Shells start background jobs with SIGINT ignored and Ray blocks it; children inherit both.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    if sys.platform == "linux" and _set_parent_death_signal():
        if os.getppid() != parent:  # it died before the call
            return EXIT_ORPHANED
        os.execvp(command[0], list(command))
    return run_child(parent, command)


def _set_parent_death_signal() -> bool:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return bool(prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) == 0)


def run_child(parent: int, command: Sequence[str]) -> int:
    """Run the command as a child and kill it once this process has another parent."""
    signal.signal(signal.SIGINT, lambda *_: None)  # the group's SIGINT is meant for the command
    child = subprocess.Popen(command)
    while True:
        try:
            code = child.wait(timeout=POLL_SEC)
            return code if code >= 0 else 128 - code
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                child.kill()
                return EXIT_ORPHANED


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), sys.argv[2:]))
