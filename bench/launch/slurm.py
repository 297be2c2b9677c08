"""Workers as Slurm jobs, through submitit.

Jobs outlive the process that submitted them: should it die, they finish the work that is left, and
the same command joins them. All nodes must see the folders of the logs and of the suite under the
same path. `cluster: local` runs the jobs on this machine, without Slurm.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.launch.launcher import EXIT_LOST, Worker, WorkerSpec, import_extra
from bench.launch.local import LocalLauncher

POLL_SEC = 0.5
QUERY_SEC = 30.0
"""Time between queries to Slurm about a job without a result."""
RESULT_DELAY_SEC = 10.0
"""Time that a result may take to appear on another node's file system."""
SHUTDOWN_SEC = 60.0
"""Time that a worker has for an orderly end when its job's limit is reached."""


class SlurmOptions(Frozen, frozen=True, kw_only=True):
    """Resources of each worker's job."""

    cluster: Literal["slurm", "local"] = "slurm"
    """local: submitit's own processes on this machine."""
    partition: str | None = None
    """Slurm's partition."""
    account: str | None = None
    """Slurm's account."""
    qos: str | None = None
    """Slurm's quality of service."""
    time_min: Annotated[int, msgspec.Meta(ge=1)] = 24 * 60
    """Wall-clock limit of a job; unfinished work goes on in the next one."""
    cpus: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Cores of a worker."""
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0
    """GPUs of a worker."""
    memory_gb: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Memory of a worker; the partition's default if not given."""


class SlurmWorker:
    """Handle of one job."""

    def __init__(self, job: Any, *, name: str, stop: Path) -> None:
        self.name = name
        self._job = job
        self._stop = stop
        self._queried_sec = time.monotonic()
        self._ended_sec: float | None = None

    def exit_code(self) -> int | None:
        now = time.monotonic()
        force = now - self._queried_sec > QUERY_SEC
        if force:
            self._queried_sec = now
        if not self._job.done(force_check=force):
            return None
        if self._job.paths.result_pickle.exists():
            return int(self._job.result()) if self._job.exception() is None else EXIT_LOST
        self._ended_sec = self._ended_sec or now
        return EXIT_LOST if now - self._ended_sec > RESULT_DELAY_SEC else None

    def interrupt(self) -> None:
        self._stop.touch()

    def kill(self) -> None:
        self._job.cancel(check=False)


class SlurmLauncher:
    """Submits a job for each worker."""

    Options = SlurmOptions

    def __init__(self, options: SlurmOptions | None = None) -> None:
        self._options = options or SlurmOptions()
        self._submitit = import_extra("submitit", extra="slurm")

    def start(self, spec: WorkerSpec) -> Worker:
        folder = (spec.log.parent / "submitit").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        stop = folder / f"{spec.name}-{time.time_ns()}.stop"
        environment = {"OMP_NUM_THREADS": str(self._options.cpus), **spec.environment}
        spec = msgspec.structs.replace(spec, environment=environment, log=spec.log.resolve())
        job = self._executor(folder, spec.name).submit(SlurmTask(spec=spec, stop=stop))
        return SlurmWorker(job, name=spec.name, stop=stop)

    def _executor(self, folder: Path, name: str) -> Any:
        options = self._options
        try:
            executor = self._submitit.AutoExecutor(folder=folder, cluster=options.cluster)
        except RuntimeError as error:
            raise BenchError(f"--launcher slurm: {error}") from None
        executor.update_parameters(
            name=f"bench-{name}",
            nodes=1,
            tasks_per_node=1,
            timeout_min=options.time_min,
            cpus_per_task=options.cpus,
            gpus_per_node=options.gpus,
            mem_gb=options.memory_gb,
            slurm_partition=options.partition,
            slurm_account=options.account,
            slurm_qos=options.qos,
            slurm_signal_delay_s=int(2 * SHUTDOWN_SEC),
        )
        return executor

    def close(self) -> None:
        """Do nothing: no resources are held."""


class SlurmTask(Frozen, frozen=True, kw_only=True):
    """Callable that a job executes: starts the worker on its node and returns its exit code."""

    spec: WorkerSpec
    stop: Path
    """File whose appearance interrupts the worker: a signal would need Slurm's help."""

    def __call__(self) -> int:
        worker = LocalLauncher().start(self.spec)
        is_interrupted = False
        try:
            while (code := worker.exit_code()) is None:
                time.sleep(POLL_SEC)
                if not is_interrupted and self.stop.exists():
                    worker.interrupt()
                    is_interrupted = True
        except BaseException:  # submitit reports the time limit, or the job is cancelled
            worker.interrupt()
            until = time.monotonic() + SHUTDOWN_SEC
            while worker.exit_code() is None and time.monotonic() < until:
                time.sleep(POLL_SEC)
            worker.kill()
            raise
        self.stop.unlink(missing_ok=True)
        return code
