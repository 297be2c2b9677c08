"""Interface of the launchers, which start worker commands and report their exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from bench.core.errors import BenchError
from bench.core.structs import Frozen, to_struct

LauncherName = Literal["local", "slurm", "ray"]
ADAPTERS: dict[LauncherName, str] = {
    "local": "bench.launch.local:LocalLauncher",
    "slurm": "bench.launch.slurm:SlurmLauncher",
    "ray": "bench.launch.ray_cluster:RayLauncher",
}
EXIT_LOST = 137
"""Exit code of a worker that vanished without one: the same as after SIGKILL."""


class WorkerSpec(Frozen, frozen=True, kw_only=True):
    """Command of a worker, its working directory, log, and additional environment variables."""

    command: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    name: str
    folder: Path = msgspec.field(default_factory=Path.cwd)


class Worker(Protocol):
    """Handle of a started worker."""

    @property
    def name(self) -> str: ...

    def exit_code(self) -> int | None:
        """Exit code, negative for a signal, or `EXIT_LOST`; None while the worker waits or runs."""

    def interrupt(self) -> None:
        """Request an orderly end, as Ctrl-C does."""

    def kill(self) -> None:
        """End the worker and its children at once."""


class Launcher(Protocol):
    """Starts workers in one kind of place."""

    def start(self, spec: WorkerSpec) -> Worker:
        """Start a worker whose output is appended to its log."""

    def close(self) -> None:
        """Release the launcher's own resources after its workers have ended."""


def make_launcher(name: LauncherName, options: Mapping[str, Any] | None = None) -> Launcher:
    """Create the launcher `name` with the options given as `--launcher.KEY value`.

    Raises BenchError for unknown options and for a missing package.
    """
    module, _, kind = ADAPTERS[name].partition(":")
    adapter: Any = getattr(importlib.import_module(module), kind)
    given = {key.replace("-", "_"): value for key, value in (options or {}).items()}
    struct: type[Frozen] = adapter.Options
    launcher: Launcher = adapter(to_struct(given, struct, where="command line", prefix="launcher."))
    return launcher


def import_extra(module: str, *, extra: str) -> Any:
    """Import an optional package, or raise BenchError with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BenchError(
            f"--launcher {extra} needs the package {module} ({error}): "
            f"pip install 'sequence-bench[{extra}]'"
        ) from None


def bench_command(*arguments: object) -> list[str]:
    """Command line of `bench ARGUMENTS` under this interpreter."""
    return [sys.executable, "-m", "bench", *map(str, arguments)]


def thread_variables(num_workers: int) -> dict[str, str]:
    """Environment variables that divide this machine's cores among local workers.

    Each worker gets at least one thread; a smaller OMP_NUM_THREADS of the caller is kept.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    num_cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    num_threads = max(1, num_cores // num_workers)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdigit() and int(limit) > 0:
        num_threads = min(num_threads, int(limit))
    return {name: str(num_threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
