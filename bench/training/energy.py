"""Energy in joules, from hardware counters: RAPL of the processors and NVML of the GPUs.

Nothing is estimated from a rated power: without readable counters the energy is None. RAPL counts
a whole processor, and on most systems only root may read it; NVML needs the extra `energy`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")
_READ_EVERY_SEC = 20.0
_MAX_WATTS = 1000.0
"""Upper bound on a RAPL domain's power; decides how soon its counter may have wrapped around."""


class Counter(Protocol):
    """A hardware counter of energy; any exception means that it cannot be read."""

    source: str

    def joules(self) -> float:
        """Joules since the counter was opened."""


class RaplDomain:
    """One RAPL domain in Linux's powercap tree; its counter wraps around within minutes."""

    source = "RAPL"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range_uj = int((folder / "max_energy_range_uj").read_text())
        self._last_uj, self._read_at = int(self._file.read_text()), time.monotonic()
        self._total_uj = 0

    def joules(self) -> float:
        now_uj, now = int(self._file.read_text()), time.monotonic()
        if (now - self._read_at) * _MAX_WATTS * 1e6 > self._range_uj:
            raise ValueError(f"{self._file} may have wrapped around more than once")
        self._total_uj += (now_uj - self._last_uj) % (self._range_uj + 1)
        self._last_uj, self._read_at = now_uj, now
        return self._total_uj / 1e6


class NvmlDevice:
    """The total energy of one GPU, found by its UUID."""

    source = "NVML"

    def __init__(self, uuid: str) -> None:
        self._nvml: Any = import_module("pynvml")
        self._nvml.nvmlInit()
        self._device = self._nvml.nvmlDeviceGetHandleByUUID(uuid)
        self._first_mj = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._device)

    def joules(self) -> float:
        now_mj = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._device)
        return float(now_mj - self._first_mj) / 1e3


class Meter:
    """Sum of several counters; None for good once one of them cannot be read."""

    def __init__(self, counters: Sequence[Counter] = ()) -> None:
        self.source = " + ".join(sorted({counter.source for counter in counters})) or None
        self._counters, self._lock = counters, threading.Lock()
        self._joules: float | None = 0.0 if counters else None
        self._stopped = threading.Event()
        if counters:  # read often enough that none wraps around unnoticed
            threading.Thread(target=self._read_repeatedly, daemon=True).start()

    def joules(self) -> float | None:
        """Joules from the meter's start to now, or to its stop; None if a counter failed."""
        with self._lock:
            if self._joules is not None and not self._stopped.is_set():
                try:
                    self._joules = sum(counter.joules() for counter in self._counters)
                except Exception:  # a driver's own errors among them
                    self._joules = None
            return self._joules

    def stop(self) -> float | None:
        """Stop counting; the final value."""
        joules = self.joules()
        self._stopped.set()
        return joules

    def _read_repeatedly(self) -> None:
        while not self._stopped.wait(_READ_EVERY_SEC):
            self.joules()


def start_meter(gpus: Sequence[str] = (), *, powercap: Path = POWERCAP) -> Meter:
    """Start a meter of the processors and of the GPUs with these UUIDs.

    If any of the GPUs cannot be read, nothing is: a partial sum would mislead.
    """
    try:
        devices = [NvmlDevice(uuid) for uuid in gpus]
    except Exception:  # no package, no driver, no such device
        return Meter()
    return Meter([*_processors(powercap), *devices])


def _processors(powercap: Path) -> list[RaplDomain]:
    """Packages, and memory that is counted apart; empty unless all of them are readable."""
    found = []
    try:
        for folder in sorted(powercap.glob("intel-rapl:*")):
            # `psys` includes the packages, `core` and `uncore` are included in them.
            name = (folder / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                found.append(RaplDomain(folder))
    except (OSError, ValueError):
        return []
    return found
