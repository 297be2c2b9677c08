"""Workers as Slurm jobs, through submitit.

Jobs outlive the process that submitted them, as jobs do: should it die, they go on with the work
that is left, and the same command joins them. The folder of the logs, and the suite's, must be
seen by all nodes under the same path. `cluster: local` tries all this out without a Slurm.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.launch.launcher import LOST, Worker, need
from bench.launch.local import LocalLauncher

POLL_SEC = 0.5
LOOK_SEC = 30.0
"""Time between questions to Slurm about a job of which there is no result."""
ARRIVAL_SEC = 10.0
"""How long a result may need to be seen on another node's file system."""
ORDERLY_SEC = 60.0
"""What a worker gets to end in order when its job's time is up."""


class SlurmOptions(Frozen, frozen=True, kw_only=True):
    """What each worker's job asks for."""

    cluster: Literal["slurm", "local"] = "slurm"
    """local: submitit's own processes on this machine."""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time_min: Annotated[int, msgspec.Meta(ge=1)] = 24 * 60
    """Wall-clock limit of a job; work that it does not finish goes on in the next one."""
    cpus: Annotated[int, msgspec.Meta(ge=1)] = 1
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0
    memory_gb: Annotated[float, msgspec.Meta(gt=0)] | None = None


class SlurmWorker:
    """One job."""

    def __init__(self, job: Any, *, name: str, stop: Path) -> None:
        self.name = name
        self._job = job
        self._stop = stop
        self._looked_sec = time.monotonic()
        self._over_sec: float | None = None

    def exit_code(self) -> int | None:
        now = time.monotonic()
        force = now - self._looked_sec > LOOK_SEC
        if force:
            self._looked_sec = now
        if not self._job.done(force_check=force):
            return None
        if self._job.paths.result_pickle.exists():
            return int(self._job.result()) if self._job.exception() is None else LOST
        self._over_sec = self._over_sec or now
        return LOST if now - self._over_sec > ARRIVAL_SEC else None

    def interrupt(self) -> None:
        self._stop.touch()

    def kill(self) -> None:
        self._job.cancel(check=False)


class SlurmLauncher:
    """Submits a job for each worker."""

    Options = SlurmOptions

    def __init__(self, options: SlurmOptions | None = None) -> None:
        self._options = options or SlurmOptions()
        self._submitit = need("submitit", extra="slurm")

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path, name: str
    ) -> Worker:
        folder = (log.parent / "submitit").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        stop = folder / f"{name}-{time.time_ns()}.stop"
        attendant = Attendant(
            command=tuple(command),
            environment={"OMP_NUM_THREADS": str(self._options.cpus), **environment},
            folder=Path.cwd(),
            log=log.resolve(),
            name=name,
            stop=stop,
        )
        job = self._executor(folder, name).submit(attendant)
        return SlurmWorker(job, name=name, stop=stop)

    def _executor(self, folder: Path, name: str) -> Any:
        asked = self._options
        try:
            executor = self._submitit.AutoExecutor(folder=folder, cluster=asked.cluster)
        except RuntimeError as error:
            raise BenchError(f"--launcher slurm: {error}") from None
        executor.update_parameters(
            name=f"bench-{name}",
            nodes=1,
            tasks_per_node=1,
            timeout_min=asked.time_min,
            cpus_per_task=asked.cpus,
            gpus_per_node=asked.gpus,
            mem_gb=asked.memory_gb,
            slurm_partition=asked.partition,
            slurm_account=asked.account,
            slurm_qos=asked.qos,
            slurm_signal_delay_s=int(2 * ORDERLY_SEC),
        )
        return executor

    def close(self) -> None:
        """Nothing is held."""


class Attendant(Frozen, frozen=True, kw_only=True):
    """What the job runs: it starts the worker on its node and waits for it."""

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    log: Path
    name: str
    stop: Path
    """Once this file is there, the worker is asked to end: a signal would need Slurm's help."""

    def __call__(self) -> int:
        worker = LocalLauncher(folder=self.folder).start(
            self.command, environment=self.environment, log=self.log, name=self.name
        )
        asked = False
        try:
            while (code := worker.exit_code()) is None:
                time.sleep(POLL_SEC)
                if not asked and self.stop.exists():
                    worker.interrupt()
                    asked = True
        except BaseException:  # submitit says that the time is up, or the job is cancelled
            worker.interrupt()
            until = time.monotonic() + ORDERLY_SEC
            while worker.exit_code() is None and time.monotonic() < until:
                time.sleep(POLL_SEC)
            worker.kill()
            raise
        self.stop.unlink(missing_ok=True)
        return code
