"""Workers on a Ray cluster: an actor for each holds its CPUs and GPUs and attends to the process.

`address` names a cluster that runs (`auto`: the one of this machine); without one, Ray is started
here for as long as the workers run. The suite's folder must be seen by all nodes under the same
path, and `bench` be installed on them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.launch.launcher import LOST, Worker, need
from bench.launch.local import LocalLauncher

PASSED_ON = ("PYTHONPATH", "BENCH_DATA", "WANDB_MODE")
"""Variables of this machine that a worker on another one needs, too."""
NEVER_STARTED = 130
ANSWER_SEC = 3.0
"""An actor that has begun answers within this time."""


class RayOptions(Frozen, frozen=True, kw_only=True):
    """Which cluster, and what each worker holds of it."""

    address: str | None = None
    cpus: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    gpus: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    dashboard: Literal["on", "off"] = "off"
    """Of a Ray that is started here."""


class Attendant:
    """The actor: a local worker on the node where Ray put it."""

    def __init__(
        self, command: list[str], environment: dict[str, str], folder: str, log: str, name: str
    ) -> None:
        self._worker = LocalLauncher(folder=Path(folder)).start(
            command, environment=environment, log=Path(log), name=name
        )

    def exit_code(self) -> int | None:
        return self._worker.exit_code()

    def interrupt(self) -> None:
        self._worker.interrupt()


class RayWorker:
    """The near end of an actor; only the end of one that may not have begun waits for it."""

    def __init__(self, ray: Any, actor: Any, *, name: str, log: Path) -> None:
        self.name = name
        self._ray = ray
        self._actor = actor
        self._log = log
        self._answer = actor.exit_code.remote()
        self._has_started = False
        self._code: int | None = None

    def exit_code(self) -> int | None:
        if self._code is not None:
            return self._code
        return self._look(wait_sec=0.0)

    def _look(self, *, wait_sec: float) -> int | None:
        ready, _ = self._ray.wait([self._answer], timeout=wait_sec)
        if not ready:  # it waits for resources, or the answer is on its way
            return None
        try:
            code: int | None = self._ray.get(self._answer)
        except self._ray.exceptions.RayError as error:
            self._note(f"ray: {error}")
            return self._end(LOST)
        self._has_started = True
        if code is None:
            self._answer = self._actor.exit_code.remote()
            return None
        return self._end(code)

    def interrupt(self) -> None:
        if self._code is None and not self._has_started:
            self._look(wait_sec=ANSWER_SEC)  # it may have begun since somebody asked
        if self._code is None and self._has_started:
            self._actor.interrupt.remote()
        elif self._code is None:
            self._end(NEVER_STARTED)

    def kill(self) -> None:
        if self._code is None:
            self._end(LOST)

    def _end(self, code: int) -> int:
        """The worker dies with its actor, and what the actor held is free."""
        self._ray.kill(self._actor)
        self._code = code
        return code

    def _note(self, text: str) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(" ".join(text.split()) + "\n")


class RayLauncher:
    """Starts an actor for each worker."""

    Options = RayOptions

    def __init__(self, options: RayOptions | None = None) -> None:
        self._options = options or RayOptions()
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported and started
        self._ray = need("ray", extra="ray")
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            self._connect()
        self._check_resources()

    def _connect(self) -> None:
        asked = self._options
        # A cluster that runs has decided about its dashboard.
        here = {} if asked.address else {"include_dashboard": asked.dashboard == "on"}
        try:
            self._ray.init(
                address=asked.address, log_to_driver=False, logging_level=logging.ERROR, **here
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise BenchError(f"--launcher.address {asked.address}: {reason}") from None

    def _check_resources(self) -> None:
        """Refuse what no node can give: such a worker would wait for ever."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        asked = {"CPU": self._options.cpus, "GPU": self._options.gpus}
        if not any(all(node.get(k, 0) >= v for k, v in asked.items()) for node in nodes):
            best = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in asked}
            self.close()
            raise BenchError(
                f"--launcher ray: no node has {asked['CPU']:g} CPUs and {asked['GPU']:g} GPUs "
                f"(the most: {best['CPU']:g} and {best['GPU']:g})"
            )

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path, name: str
    ) -> Worker:
        threads = {"OMP_NUM_THREADS": str(max(1, int(self._options.cpus)))}
        passed_on = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        kind = self._ray.remote(Attendant).options(
            num_cpus=self._options.cpus, num_gpus=self._options.gpus, max_restarts=0
        )
        actor = kind.remote(
            list(command),
            {**threads, **passed_on, **environment},
            str(Path.cwd()),
            str(log.resolve()),
            name,
        )
        return RayWorker(self._ray, actor, name=name, log=log)

    def close(self) -> None:
        if self._is_ours:
            self._ray.shutdown()
