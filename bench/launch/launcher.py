"""What a launcher does: it starts workers, which are commands, and says whether they still run."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from bench.core.errors import BenchError
from bench.core.structs import Frozen, to_struct

LauncherName = Literal["local", "slurm", "ray"]
ADAPTERS: dict[LauncherName, str] = {
    "local": "bench.launch.local:LocalLauncher",
    "slurm": "bench.launch.slurm:SlurmLauncher",
    "ray": "bench.launch.ray_cluster:RayLauncher",
}
LOST = 137
"""Exit code of a worker of which nothing more is known, as if it had been killed."""


class Worker(Protocol):
    """One worker that was started."""

    @property
    def name(self) -> str: ...

    def exit_code(self) -> int | None:
        """None while it waits or runs; negative for the signal that ended it, or `LOST`."""
        ...

    def interrupt(self) -> None:
        """Ask it to end in order, as Ctrl-C does."""
        ...

    def kill(self) -> None:
        """End it, and what it started, at once."""
        ...


class Launcher(Protocol):
    """A way to start workers."""

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path, name: str
    ) -> Worker:
        """Start `command` in the current folder; what it prints is added to `log`.

        `environment` is added to the variables that the worker has anyway.
        """
        ...

    def close(self) -> None:
        """Give back what the launcher itself holds; its workers have ended."""
        ...


def make_launcher(name: LauncherName, options: Mapping[str, Any] | None = None) -> Launcher:
    """The launcher `name` with the options given as `--launcher.KEY value`.

    Raises BenchError for unknown options and where a package is missing.
    """
    module, _, kind = ADAPTERS[name].partition(":")
    adapter: Any = getattr(importlib.import_module(module), kind)
    given = {key.replace("-", "_"): value for key, value in (options or {}).items()}
    kept: type[Frozen] = adapter.Options
    launcher: Launcher = adapter(to_struct(given, kept, where="command line", prefix="launcher."))
    return launcher


def need(module: str, *, extra: str) -> Any:
    """The module of an optional package, or an error that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BenchError(
            f"--launcher {extra} needs the package {module} ({error}): "
            f"pip install 'sequence-bench[{extra}]'"
        ) from None


def bench_command(*arguments: object) -> list[str]:
    """`bench ARGUMENTS` with this interpreter, for a worker."""
    return [sys.executable, "-m", "bench", *map(str, arguments)]


def shared_threads(num_workers: int) -> dict[str, str]:
    """Variables that divide this machine's cores among local workers, at least one for each.

    A smaller OMP_NUM_THREADS of the user's own stays.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    num_cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    threads = max(1, num_cores // num_workers)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        threads = min(threads, int(asked))
    return {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
