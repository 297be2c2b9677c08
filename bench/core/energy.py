"""Joules that the machine's own counters saw: RAPL of the processors, NVML of the GPUs.

What cannot be read is absent: nothing is estimated from a rated power. RAPL counts a processor as
a whole, and is readable for the superuser alone on most systems; NVML needs the extra `energy`.
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
_MOST_WATTS = 1000.0
"""Of one RAPL domain: decides after how long its counter may have come round unseen."""


class LostError(Exception):
    """A counter can no longer be read, or came round unseen."""


class Counter(Protocol):
    """Something that counts joules."""

    source: str

    def joules(self) -> float:
        """Joules since the counter was made; raises LostError where nobody can say."""


class RaplDomain:
    """One domain of a processor's running average power limit, as Linux shows it."""

    source = "RAPL"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range = int((folder / "max_energy_range_uj").read_text())
        self._last = int(self._file.read_text())
        self._read_at = time.monotonic()
        self._microjoules = 0

    def joules(self) -> float:
        try:
            now = int(self._file.read_text())
        except (OSError, ValueError) as error:
            raise LostError from error
        waited_sec, self._read_at = time.monotonic() - self._read_at, time.monotonic()
        if waited_sec * _MOST_WATTS * 1e6 > self._range:
            raise LostError
        self._microjoules += (now - self._last) % (self._range + 1)
        self._last = now
        return self._microjoules / 1e6


class NvmlDevice:
    """One GPU by NVML's counter of total energy."""

    source = "NVML"

    def __init__(self, uuid: str) -> None:
        self._nvml: Any = import_module("pynvml")
        try:
            self._nvml.nvmlInit()
            self._device = self._nvml.nvmlDeviceGetHandleByUUID(uuid)
            self._first = self._read()
        except self._nvml.NVMLError as error:
            raise LostError from error

    def _read(self) -> int:
        return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._device))

    def joules(self) -> float:
        try:
            return (self._read() - self._first) / 1e3
        except self._nvml.NVMLError as error:
            raise LostError from error


class Meter:
    """The joules of all counters from its making on; lost for good once one of them is."""

    def __init__(self, counters: Sequence[Counter]) -> None:
        self._counters = counters
        self._lock = threading.Lock()
        self._joules: float | None = 0.0 if counters else None
        self._ended = threading.Event()
        if any(isinstance(counter, RaplDomain) for counter in counters):
            # RAPL's counters come round within minutes: they must be read in between.
            threading.Thread(target=self._keep_reading, daemon=True).start()

    @property
    def source(self) -> str | None:
        """The kinds of counters that are read."""
        return " + ".join(sorted({counter.source for counter in self._counters})) or None

    def joules(self) -> float | None:
        """Joules so far; None where there is no counter or one was lost."""
        with self._lock:
            if self._joules is not None and not self._ended.is_set():
                try:
                    self._joules = sum(counter.joules() for counter in self._counters)
                except LostError:
                    self._joules = None
            return self._joules

    def stop(self) -> float | None:
        """The joules, which stay what they are from now on."""
        joules = self.joules()
        self._ended.set()
        return joules

    def _keep_reading(self) -> None:
        while not self._ended.wait(_READ_EVERY_SEC):
            self.joules()


def start_meter(gpus: Sequence[str] = (), *, powercap: Path = POWERCAP) -> Meter:
    """A meter of this machine's processors and of the GPUs with these UUIDs.

    Where one of the GPUs cannot be read, nothing is: a sum without it would mislead.
    """
    try:
        devices = [NvmlDevice(uuid) for uuid in gpus]
    except (ImportError, LostError):
        return Meter([])
    return Meter([*_processors(powercap), *devices])


def _processors(powercap: Path) -> list[RaplDomain]:
    """Each processor's package and, where it is apart, its memory; none unless all are readable."""
    found = []
    try:
        for folder in sorted(powercap.glob("intel-rapl:*")):
            # `psys` holds the packages, `core` and `uncore` lie inside one.
            name = (folder / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                found.append(RaplDomain(folder))
    except (OSError, ValueError):
        return []
    return found
