"""Energy is read from hardware counters, or is None."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bench.training.callbacks import EnergyCallback
from bench.training.energy import Meter, RaplDomain, start_meter

RANGE = 262_143_328_850


class Powercap:
    """Counters as Linux shows them, in microjoules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, zone: str, name: str, microjoules: int) -> None:
        place = self.folder / zone
        place.mkdir(parents=True)
        (place / "name").write_text(f"{name}\n")
        (place / "max_energy_range_uj").write_text(f"{RANGE}\n")
        self.set(zone, microjoules)

    def set(self, zone: str, microjoules: int) -> None:
        (self.folder / zone / "energy_uj").write_text(f"{microjoules}\n")


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    """Two processors; one has its memory apart."""
    made = Powercap(tmp_path)
    made.add("intel-rapl:0", "package-0", 1_000_000)
    made.add("intel-rapl:0:0", "core", 500_000)
    made.add("intel-rapl:0:1", "dram", 100_000)
    made.add("intel-rapl:1", "package-1", RANGE - 500_000)
    made.add("intel-rapl:2", "psys", 7_000_000)
    return made


class Nvml(ModuleType):
    """As much of `pynvml` as is called."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.millijoules: dict[str, int] = {}

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid not in self.millijoules:
            raise self.NVMLError("not found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, device: str) -> int:  # noqa: N802
        return self.millijoules[device]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    made = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made


def test_packages_and_dram_are_added_and_nothing_twice(powercap: Powercap) -> None:
    meter = start_meter(powercap=powercap.folder)
    assert meter.source == "RAPL"
    assert meter.joules() == 0.0
    powercap.set("intel-rapl:0", 4_000_000)
    powercap.set("intel-rapl:0:0", 3_000_000)
    powercap.set("intel-rapl:0:1", 300_000)
    powercap.set("intel-rapl:2", 90_000_000)
    assert meter.joules() == pytest.approx(3.2)
    meter.stop()


def test_a_counter_that_wraps_around_goes_on(powercap: Powercap) -> None:
    meter = start_meter(powercap=powercap.folder)
    powercap.set("intel-rapl:1", 499_999)
    assert meter.joules() == pytest.approx(1.0)
    powercap.set("intel-rapl:1", 1_499_999)
    assert meter.stop() == pytest.approx(2.0)


def test_a_stopped_meter_keeps_its_value(powercap: Powercap) -> None:
    meter = start_meter(powercap=powercap.folder)
    powercap.set("intel-rapl:0", 2_000_000)
    meter.stop()
    powercap.set("intel-rapl:0", 9_000_000)
    assert meter.joules() == pytest.approx(1.0)


def unreadable(powercap: Powercap) -> None:
    (powercap.folder / "intel-rapl:1" / "energy_uj").unlink()


def meaningless(powercap: Powercap) -> None:
    (powercap.folder / "intel-rapl:1" / "energy_uj").write_text("busy")


def nothing(powercap: Powercap) -> None:
    for zone in list(powercap.folder.iterdir()):
        zone.rename(zone.with_name(zone.name.replace("intel-rapl:", "other-")))


@pytest.mark.parametrize("spoil", [unreadable, meaningless, nothing])
def test_without_readable_counters_the_energy_is_none(
    powercap: Powercap, spoil: Callable[[Powercap], None]
) -> None:
    spoil(powercap)
    meter = start_meter(powercap=powercap.folder)
    assert (meter.joules(), meter.source) == (None, None)


def test_a_failing_counter_makes_the_sum_none_for_good(powercap: Powercap) -> None:
    meter = start_meter(powercap=powercap.folder)
    unreadable(powercap)
    assert meter.joules() is None
    powercap.set("intel-rapl:1", 0)
    assert meter.joules() is None


def test_a_counter_that_may_have_wrapped_around_twice_is_not_used(
    powercap: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("bench.training.energy.time.monotonic", lambda: clock.now)
    meter = Meter([RaplDomain(powercap.folder / "intel-rapl:0")])
    clock.now = 260.0
    assert meter.joules() is not None
    clock.now += 263.0
    assert meter.joules() is None


def test_gpus_are_added_to_the_processors(powercap: Powercap, nvml: Nvml) -> None:
    nvml.millijoules = {"GPU-a": 5_000, "GPU-b": 100, "GPU-c": 0}
    meter = start_meter(["GPU-a", "GPU-b"], powercap=powercap.folder)
    nvml.millijoules = {"GPU-a": 7_500, "GPU-b": 600, "GPU-c": 99_000}
    assert meter.source == "NVML + RAPL"
    assert meter.stop() == pytest.approx(3.0)


@pytest.mark.parametrize("why", ["no such device", "no package"])
def test_a_sum_without_its_gpus_is_none(
    powercap: Powercap, nvml: Nvml, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    nvml.millijoules = {"GPU-a": 0}
    if why == "no package":
        monkeypatch.setitem(sys.modules, "pynvml", None)
    meter = start_meter(["GPU-a", "GPU-b"], powercap=powercap.folder)
    assert (meter.joules(), meter.source) == (None, None)


class FakeCounter:
    """A counter that a test advances."""

    source = "RAPL"

    def __init__(self) -> None:
        self.now = 0.0

    def joules(self) -> float:
        return self.now


def session(
    monkeypatch: pytest.MonkeyPatch, joules: float | None, *, step: int, saved: Any = None
) -> EnergyCallback:
    """A session of a run that starts at `step` and takes `joules`."""
    counter = FakeCounter()
    meter = Meter([] if joules is None else [counter])
    monkeypatch.setattr("bench.training.callbacks.start_meter", lambda _: meter)
    callback = EnergyCallback()
    if saved is not None:
        callback.load_state_dict(saved)
    strategy = SimpleNamespace(root_device=SimpleNamespace(type="cpu"))
    trainer: Any = SimpleNamespace(num_nodes=1, global_step=step, strategy=strategy)
    callback.on_train_start(trainer, trainer)
    counter.now = joules or 0.0
    return callback


def test_sessions_of_a_run_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = session(monkeypatch, 5.0, step=0).state_dict()
    second = session(monkeypatch, 3.0, step=9, saved=saved)
    assert (second.joules, second.source) == (8.0, "RAPL")
    second.on_train_end()
    assert second.joules == 8.0


@pytest.mark.parametrize(
    ("first", "second", "is_saved"), [(None, 3.0, True), (5.0, None, True), (5.0, 3.0, False)]
)
def test_a_session_that_was_not_measured_makes_the_run_s_energy_none(
    monkeypatch: pytest.MonkeyPatch, first: float | None, second: float | None, is_saved: bool
) -> None:
    saved = session(monkeypatch, first, step=0).state_dict()
    again = session(monkeypatch, second, step=9, saved=saved if is_saved else None)
    assert (again.joules, again.source) == (None, None)
