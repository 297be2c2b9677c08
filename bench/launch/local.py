"""Workers as processes of this machine.

Each is the head of a session of its own, so that a terminal's Ctrl-C does not reach it: the one
who watches passes it on, once. A worker dies with the process (on Linux: with the thread) that
started it, and what it started itself dies with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.structs import Frozen
from bench.launch import tether
from bench.launch.launcher import Worker


class LocalOptions(Frozen, frozen=True, kw_only=True):
    """Local processes have none."""


class LocalWorker:
    """One process and its group."""

    def __init__(self, process: subprocess.Popen[bytes], *, name: str) -> None:
        self.name = name
        self._process = process
        self._swept = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        code = self._process.poll()
        if code is not None and not self._swept:
            self._swept = True
            self._signal(signal.SIGKILL)
        return code

    def interrupt(self) -> None:
        if self._process.poll() is None:
            self._signal(signal.SIGINT)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # The group may be gone, or nothing but zombies may be left of it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class LocalLauncher:
    """Starts processes on this machine."""

    Options = LocalOptions

    def __init__(self, options: LocalOptions | None = None, *, folder: Path | None = None) -> None:
        self._folder = folder

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path, name: str
    ) -> Worker:
        log.parent.mkdir(parents=True, exist_ok=True)
        # -I -S: no site, no user's paths; the command gets the whole environment all the same.
        tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command]
        with log.open("ab") as output:
            process = subprocess.Popen(
                tethered,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                cwd=self._folder,
                start_new_session=True,
            )
        return LocalWorker(process, name=name)

    def close(self) -> None:
        """Nothing is held."""
