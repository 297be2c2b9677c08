"""Provenance of a number: code, packages and machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Self

from bench.core.record import Cost, Provenance
from bench.training.energy import Meter, start_meter

_PACKAGES = ("sequence-bench", "torch", "pytorch-lightning", "numpy", "wandb", "optuna")


def provenance() -> Provenance:
    """The state of this checkout, its packages and this machine; the unreadable stays None."""
    commit, dirty = _git_state()
    return Provenance(
        commit=commit,
        dirty=dirty,
        packages=_versions(),
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}",
        hardware=_hardware(),
    )


def _git_state() -> tuple[str | None, bool | None]:
    """Commit of the package's own checkout and whether code in it differs from that commit."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", "bench", "tasks", "pyproject.toml")
    return commit, None if changes is None else bool(changes)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _hardware() -> dict[str, str | int]:
    import torch

    facts: dict[str, str | int] = {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
    }
    if sys.platform == "linux":
        facts["memory_bytes"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
        facts["num_gpus"] = torch.cuda.device_count()
        backends = torch.backends
        on = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
        facts["tf32"] = "on" if all(on) else "partly" if any(on) else "off"
    return facts


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far, on the GPU where one was used."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    # What getrusage says begins with the memory of the process that started this one.
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """The memory that this process holds now; where the system does not say, the most so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_memory_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Stopwatch:
    """Start time and energy meter of work without epochs; `cost_of` turns it into a cost."""

    sec: float
    meter: Meter

    @classmethod
    def start(cls) -> Self:
        """A stopwatch that runs from now on."""
        return cls(sec=time.perf_counter(), meter=start_meter())


def cost_of(
    stopwatch: Stopwatch, *, num_parameters: int, tokens_per_sec: float | None = None
) -> Cost:
    """Cost of work without epochs since `stopwatch` was started."""
    joules = stopwatch.meter.stop()
    return Cost(
        num_parameters=num_parameters,
        seconds=round(time.perf_counter() - stopwatch.sec, 1),
        tokens_per_sec=tokens_per_sec,
        peak_memory_bytes=peak_memory_bytes(),
        energy_joules=None if joules is None else round(joules, 1),
        energy_source=None if joules is None else stopwatch.meter.source,
    )


def forget_peak_memory() -> None:
    """Let `peak_memory_bytes` count from now, where a process carries out several runs."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak of the resident set
        except OSError:
            return
