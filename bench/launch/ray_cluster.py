"""Workers on a Ray cluster: one actor per worker holds its CPUs and GPUs and runs the process.

`address` names a running cluster (`auto`: this machine's); without it, Ray is started here for as
long as the workers run. All nodes must see the suite's folder under the same path and have `bench`
installed.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.launch.launcher import EXIT_LOST, Worker, WorkerSpec, import_extra
from bench.launch.local import LocalLauncher

FORWARDED = ("PYTHONPATH", "BENCH_DATA", "WANDB_MODE")
"""Environment variables copied to workers on other machines."""
EXIT_NEVER_STARTED = 130
ANSWER_SEC = 3.0
"""Time within which a started actor answers."""


class RayOptions(Frozen, frozen=True, kw_only=True):
    """Cluster address and the resources of each worker."""

    address: str | None = None
    """Address of a running cluster; a new one is started here if not given."""
    cpus: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """Cores of a worker."""
    gpus: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """GPUs of a worker."""
    dashboard: Literal["on", "off"] = "off"
    """Dashboard of a Ray that is started here."""


class WorkerActor:
    """Ray actor that runs a local worker on its node."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._worker = LocalLauncher().start(spec)

    def exit_code(self) -> int | None:
        return self._worker.exit_code()

    def interrupt(self) -> None:
        self._worker.interrupt()


class RayWorker:
    """Handle of an actor; no method blocks except `interrupt` on an actor that may not run yet."""

    def __init__(self, ray: Any, actor: Any, *, name: str, log: Path) -> None:
        self.name = name
        self._ray = ray
        self._actor = actor
        self._log = log
        self._answer = actor.exit_code.remote()
        self._has_started = False
        self._code: int | None = None

    def exit_code(self) -> int | None:
        return self._poll(wait_sec=0.0) if self._code is None else self._code

    def _poll(self, *, wait_sec: float) -> int | None:
        ready, _ = self._ray.wait([self._answer], timeout=wait_sec)
        if not ready:  # it waits for resources, or the answer is on its way
            return None
        try:
            code: int | None = self._ray.get(self._answer)
        except self._ray.exceptions.RayError as error:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a", encoding="utf-8") as file:
                file.write(f"ray: {' '.join(str(error).split())}\n")
            return self._end(EXIT_LOST)
        self._has_started = True
        if code is None:
            self._answer = self._actor.exit_code.remote()
            return None
        return self._end(code)

    def interrupt(self) -> None:
        if self._code is None and not self._has_started:
            self._poll(wait_sec=ANSWER_SEC)  # it may have started since the last poll
        if self._code is None and self._has_started:
            self._actor.interrupt.remote()
        elif self._code is None:
            self._end(EXIT_NEVER_STARTED)

    def kill(self) -> None:
        if self._code is None:
            self._end(EXIT_LOST)

    def _end(self, code: int) -> int:
        """Kill the actor, which ends its process and frees its resources."""
        self._ray.kill(self._actor)
        self._code = code
        return code


class RayLauncher:
    """Starts an actor for each worker."""

    Options = RayOptions

    def __init__(self, options: RayOptions | None = None) -> None:
        self._options = options or RayOptions()
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported and started
        self._ray = import_extra("ray", extra="ray")
        self._is_owner = not self._ray.is_initialized()
        if self._is_owner:
            self._connect()
        self._check_resources()

    def _connect(self) -> None:
        options = self._options
        # A running cluster has its own dashboard setting.
        dashboard = {} if options.address else {"include_dashboard": options.dashboard == "on"}
        try:
            self._ray.init(
                address=options.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **dashboard,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise BenchError(f"--launcher.address {options.address}: {reason}") from None

    def _check_resources(self) -> None:
        """Refuse what no node can give: such a worker would wait for ever."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        needs = {"CPU": self._options.cpus, "GPU": self._options.gpus}
        if not any(all(node.get(k, 0) >= v for k, v in needs.items()) for node in nodes):
            most = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in needs}
            self.close()
            raise BenchError(
                f"--launcher ray: no node has {needs['CPU']:g} CPUs and {needs['GPU']:g} GPUs "
                f"(the most: {most['CPU']:g} and {most['GPU']:g})"
            )

    def start(self, spec: WorkerSpec) -> Worker:
        threads = {"OMP_NUM_THREADS": str(max(1, int(self._options.cpus)))}
        forwarded = {key: os.environ[key] for key in FORWARDED if key in os.environ}
        environment = {**threads, **forwarded, **spec.environment}
        spec = msgspec.structs.replace(spec, environment=environment, log=spec.log.resolve())
        actor_class = self._ray.remote(WorkerActor).options(
            num_cpus=self._options.cpus, num_gpus=self._options.gpus, max_restarts=0
        )
        return RayWorker(self._ray, actor_class.remote(spec), name=spec.name, log=spec.log)

    def close(self) -> None:
        if self._is_owner:
            self._ray.shutdown()
