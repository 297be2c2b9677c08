"""Workers as processes of this machine.

Each leads a session of its own, so that a terminal's Ctrl-C reaches only the watcher, which passes
it on once. A worker dies with the process (on Linux: with the thread) that started it, and its
children die with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from bench.core.structs import Frozen
from bench.launch import tether
from bench.launch.launcher import Worker, WorkerSpec


class LocalOptions(Frozen, frozen=True, kw_only=True):
    """Options of local workers: none."""


class LocalWorker:
    """One process and its process group."""

    def __init__(self, process: subprocess.Popen[bytes], *, name: str) -> None:
        self.name = name
        self._process = process
        self._is_group_killed = False

    def exit_code(self) -> int | None:
        code = self._process.poll()
        if code is not None and not self._is_group_killed:
            self._is_group_killed = True
            signal_group(self._process, signal.SIGKILL)
        return code

    def interrupt(self) -> None:
        if self._process.poll() is None:
            signal_group(self._process, signal.SIGINT)

    def kill(self) -> None:
        if self._process.poll() is None:
            signal_group(self._process, signal.SIGKILL)
            self._process.wait()


class LocalLauncher:
    """Starts processes on this machine."""

    Options = LocalOptions

    def __init__(self, options: LocalOptions | None = None) -> None:
        pass

    def start(self, spec: WorkerSpec) -> Worker:
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        with spec.log.open("ab") as log:
            process = start_process(
                spec.command,
                spec.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                folder=spec.folder,
            )
        return LocalWorker(process, name=spec.name)

    def close(self) -> None:
        """Do nothing: no resources are held."""


def start_process(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdout: IO[bytes] | int | None,
    stderr: IO[bytes] | int | None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, to end with this process at the latest."""
    # -I -S: without site and the user's paths; the command inherits the environment all the same.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, **environment},
        cwd=folder,
        start_new_session=True,
    )


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and its children."""
    # The group may be gone, or only zombies may be left of it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
