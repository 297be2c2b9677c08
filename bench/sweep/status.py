"""State of a sweep, read from its storage alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from bench.sweep.budget import is_exhausted, repeat_seeds
from bench.sweep.outcome import BestTrial, best_trial
from bench.sweep.space import clean
from bench.sweep.storage import Storage
from bench.sweep.study import Studies
from bench.sweep.trial import UNFINISHED, Status, TrialResult


@dataclass(frozen=True, kw_only=True)
class StoredTrial:
    """One trial as Optuna stores it and as a result."""

    frozen: FrozenTrial
    result: TrialResult
    num_epochs: int | None
    """Largest number of validations, over all seeds."""
    repeat_of: int | None = None
    """Number of the trial that a repeat repeats."""

    @property
    def progress(self) -> float:
        """Share of the validations that are done, from 0 to 1."""
        last = self.frozen.last_step or 0
        return min(1.0, last / self.num_epochs) if self.num_epochs else 0.0


@dataclass(frozen=True, kw_only=True)
class SweepState:
    """Snapshot of all trials of a sweep."""

    studies: Studies
    trials: dict[str, list[StoredTrial]] = field(default_factory=dict)
    repeats: dict[str, list[StoredTrial]] = field(default_factory=dict)

    def results(self, model: str) -> list[TrialResult]:
        """Trials of one model, by number."""
        return [trial.result for trial in self.trials[model]]

    def best(self, model: str) -> BestTrial | None:
        """Best finished trial of a model so far."""
        return best_trial(self.results(model), model, self.studies.card.metric.direction)

    def unfinished(self) -> list[StoredTrial]:
        """Trials and repeats that are waiting, running or lost."""
        groups = [*self.trials.values(), *self.repeats.values()]
        return [trial for group in groups for trial in group if trial.result.status in UNFINISHED]

    def next_repeat_seed(self, model: str) -> int | None:
        """Next fresh seed for the best configuration of a model whose trials have ended."""
        best, sweep = self.best(model), self.studies.sweep
        if best is None or not is_exhausted(sweep, model, self.results(model)):
            return None
        started = {
            int(trial.frozen.user_attrs["seed"])
            for trial in self.repeats.get(model, ())
            if trial.repeat_of == best.number and trial.result.status != "failed"
        }
        return next((seed for seed in repeat_seeds(sweep) if seed not in started), None)

    @property
    def is_done(self) -> bool:
        """True once all budgets are used up and all repeats have ended."""
        sweep = self.studies.sweep
        return not self.unfinished() and all(
            is_exhausted(sweep, model, self.results(model)) and self.next_repeat_seed(model) is None
            for model in sweep.models
        )


def read_state(studies: Studies) -> SweepState:
    """Read every trial of a sweep from the storage."""
    state, started = SweepState(studies=studies), studies.started
    for kind, model, study in studies.all():
        group = state.trials if kind == "trial" else state.repeats
        trials = study.get_trials(deepcopy=False)
        lost = lost_trials(studies.storage, study, trials)
        group[model] = [
            _stored_trial(trial, model, studies, trial._trial_id in lost, started)
            for trial in trials
        ]
    return state


def lost_trials(storage: Storage, study: optuna.Study, trials: Iterable[FrozenTrial]) -> set[int]:
    """Ids of the trials whose state is running but whose worker is gone.

    A worker on this machine is looked up; of others only the heartbeat, by the database's clock, is
    known. (After a machine has slept, all its heartbeats are late although its workers live.)
    """
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    stale = set(storage.backend._get_stale_trial_ids(study._study_id)) if running else set()
    exited = {trial._trial_id: has_exited(_claimed_by(trial)) for trial in running}
    return {i for i, has_ended in exited.items() if has_ended or (has_ended is None and i in stale)}


def is_own(trial: FrozenTrial) -> bool:
    """True if this very process has claimed the trial."""
    process = _claimed_by(trial)
    return process is not None and process == process_identity()


def _claimed_by(trial: FrozenTrial) -> str | None:
    process: str | None = trial.user_attrs.get("claim", {}).get("process")
    return process


def _stored_trial(
    trial: FrozenTrial, model: str, studies: Studies, is_lost: bool, started: float
) -> StoredTrial:
    attributes = trial.user_attrs
    outcome: dict[str, Any] = attributes.get("outcome", {})
    status, ended = _status(trial, is_lost), outcome.get("ended")
    result = TrialResult(
        number=trial.number,
        model=model,
        chosen=clean(studies.sweep.space, trial.params),
        status=status,
        value=trial.value if status == "finished" else None,
        intermediate=trial.intermediate_values,
        num_parameters=outcome.get("num_parameters"),
        seconds=outcome.get("seconds", attributes.get("seconds", 0.0)),
        flops=outcome.get("flops", 0.0),
        run_ids=list(outcome.get("run_ids", [])),
        worker=attributes.get("claim", {}).get("worker"),
        reason=outcome.get("reason"),
        order=None if ended is None else round(ended - started, 1),
    )
    return StoredTrial(
        frozen=trial,
        result=result,
        num_epochs=attributes.get("epochs"),
        repeat_of=attributes.get("of"),
    )


def _status(trial: FrozenTrial, is_lost: bool) -> Status:
    if trial.state == TrialState.RUNNING:
        return "lost" if is_lost else "running"
    if trial.state == TrialState.PRUNED:
        return "diverged" if trial.user_attrs["outcome"]["status"] == "diverged" else "pruned"
    names: dict[TrialState, Status] = {
        TrialState.WAITING: "waiting",
        TrialState.COMPLETE: "finished",
        TrialState.FAIL: "failed",
    }
    return names[trial.state]


# Identity of processes: pids are reused, and mean nothing outside their namespace.


def worker_name() -> str:
    """`host:pid` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def process_identity() -> str | None:
    """Unique process identity (boot id, namespace, pid, start time); None off Linux."""
    namespace, started = _pid_namespace(), _start_time(os.getpid())
    return None if namespace is None or started is None else f"{namespace}/{os.getpid()}/{started}"


def has_exited(identity: str | None) -> bool | None:
    """True if the process of an identity has exited; None if it is invisible from here."""
    namespace = _pid_namespace()
    if identity is None or namespace is None or not identity.startswith(f"{namespace}/"):
        return None
    pid, _, started = identity.removeprefix(f"{namespace}/").partition("/")
    return _start_time(int(pid)) != started


def _pid_namespace() -> str | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _start_time(pid: int) -> str | None:
    """Clock ticks from boot to the start of a process; None if it has exited."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = content.rpartition(")")[2].split()  # from the third on; a name may hold blanks
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started
