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

from bench.core.structs import Frozen
from bench.launch import tether
from bench.launch.launcher import Worker


class LocalOptions(Frozen, frozen=True, kw_only=True):
    """Options of local workers: none."""


class LocalWorker:
    """One process and its process group."""

    def __init__(self, process: subprocess.Popen[bytes], *, name: str) -> None:
        self.name = name
        self._process = process
        self._is_group_killed = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        code = self._process.poll()
        if code is not None and not self._is_group_killed:
            self._is_group_killed = True
            self._signal_group(signal.SIGKILL)
        return code

    def interrupt(self) -> None:
        if self._process.poll() is None:
            self._signal_group(signal.SIGINT)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._signal_group(signal.SIGKILL)
            self._process.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        # The group may be gone, or only zombies may be left of it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class LocalLauncher:
    """Starts processes on this machine, in `folder` or in the current one."""

    Options = LocalOptions

    def __init__(self, options: LocalOptions | None = None, *, folder: Path | None = None) -> None:
        self._folder = folder

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path, name: str
    ) -> Worker:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                tethered(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                cwd=self._folder,
                start_new_session=True,
            )
        return LocalWorker(process, name=name)

    def close(self) -> None:
        """Do nothing: no resources are held."""


def tethered(command: Sequence[str]) -> list[str]:
    """Command line that runs `command` and ends it with this process."""
    # -I -S skip site and the user's paths, for the tether alone: the environment is inherited.
    return [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command]
