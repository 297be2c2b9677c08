"""How a sweep stands, read from its storage alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from bench.sweep.budget import LIVE, is_over, missing_seed
from bench.sweep.outcome import Best, best_of
from bench.sweep.space import clean
from bench.sweep.storage import Storage
from bench.sweep.study import Status, Studies, TrialResult

# Whether a process of this machine still lives, without a mistake about its number.


def worker_name() -> str:
    """`host:pid` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def identity() -> str | None:
    """This process among all that ever ran: boot, namespace, number, start; None off Linux."""
    world, started = _world(), _start_time(os.getpid())
    return None if world is None or started is None else f"{world}/{os.getpid()}/{started}"


def is_gone(process: str | None) -> bool | None:
    """Whether the process `identity` named has ended; None where it cannot be seen from here."""
    world = _world()
    if process is None or world is None or not process.startswith(f"{world}/"):
        return None
    number, _, started = process.removeprefix(f"{world}/").partition("/")
    return _start_time(int(number)) != started


def _world() -> str | None:
    """The boot of the kernel and the namespace in which process numbers mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _start_time(number: int) -> str | None:
    """Clock ticks from boot to the start of a process that has not ended."""
    try:
        content = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return None
    fields = content.rpartition(")")[2].split()  # from the third on; a name may hold blanks
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One trial as it stands."""

    stored: FrozenTrial
    result: TrialResult
    num_epochs: int | None
    """Validations at the most, over all seeds."""
    of: int | None = None
    """Of a repeat: the number of the trial that it repeats."""

    @property
    def share_done(self) -> float:
        """Of the validations of a trial that runs."""
        last = self.stored.last_step or 0
        return min(1.0, last / self.num_epochs) if self.num_epochs else 0.0


@dataclass(frozen=True, kw_only=True)
class State:
    """All trials of a sweep."""

    studies: Studies
    trials: dict[str, list[Seen]] = field(default_factory=dict)
    repeats: dict[str, list[Seen]] = field(default_factory=dict)

    def results(self, model: str) -> list[TrialResult]:
        """The trials of one model, by number."""
        return [seen.result for seen in self.trials[model]]

    def best(self, model: str) -> Best | None:
        """The best finished trial of a model so far."""
        return best_of(self.results(model), model, self.studies.card.metric.direction)

    def live(self) -> list[Seen]:
        """What waits or runs, repeats among it."""
        everything = [*self.trials.values(), *self.repeats.values()]
        return [seen for part in everything for seen in part if seen.result.status in LIVE]

    def seed_to_repeat(self, model: str) -> int | None:
        """The next fresh seed for the best configuration, once the model's trials are over."""
        best = self.best(model)
        if best is None or not is_over(self.studies.sweep, model, self.results(model)):
            return None
        begun = {
            int(seen.stored.user_attrs["seed"])
            for seen in self.repeats[model]
            if seen.of == best.number and seen.result.status != "failed"
        }
        return missing_seed(self.studies.sweep, begun)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        sweep = self.studies.sweep
        return not self.live() and all(
            is_over(sweep, model, self.results(model)) and self.seed_to_repeat(model) is None
            for model in sweep.models
        )


def read_state(studies: Studies) -> State:
    """Every trial of a sweep as the storage has it now."""
    state, started = State(studies=studies), studies.started
    for kind, model, study in studies.all():
        part = state.trials if kind == "trial" else state.repeats
        trials = study.get_trials(deepcopy=False)
        lost = lost_trials(studies.storage, study, trials)
        part[model] = [
            _seen(trial, model, studies, trial._trial_id in lost, started) for trial in trials
        ]
    return state


def lost_trials(storage: Storage, study: optuna.Study, trials: Iterable[FrozenTrial]) -> set[int]:
    """Ids of the trials that run according to the storage, but whose worker is gone.

    A worker on this machine is looked for; of others the heartbeat tells. (After a machine has
    slept, all its heartbeats are late, and its workers live.)
    """
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    stale = storage.stale_trials(study) if running else set()
    lost = set()
    for trial in running:
        gone = is_gone(_process(trial))
        if gone or (gone is None and trial._trial_id in stale):
            lost.add(trial._trial_id)
    return lost


def is_own(trial: FrozenTrial) -> bool:
    """Whether this very process has claimed the trial."""
    process = _process(trial)
    return process is not None and process == identity()


def _process(trial: FrozenTrial) -> str | None:
    process: str | None = trial.user_attrs.get("claim", {}).get("process")
    return process


def _seen(trial: FrozenTrial, model: str, studies: Studies, lost: bool, started: float) -> Seen:
    attributes = trial.user_attrs
    outcome: dict[str, Any] = attributes.get("outcome", {})
    status = _status(trial, lost)
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
        order=_after(started, outcome.get("ended")),
    )
    return Seen(
        stored=trial,
        result=result,
        num_epochs=attributes.get("epochs"),
        of=attributes.get("of"),
    )


def _after(started: float, ended: Any) -> float | None:
    return None if ended is None else round(ended - started, 1)


def _status(trial: FrozenTrial, lost: bool) -> Status:
    if trial.state == TrialState.RUNNING:
        return "lost" if lost else "running"
    if trial.state == TrialState.PRUNED:
        return "diverged" if trial.user_attrs["outcome"]["status"] == "diverged" else "pruned"
    names: dict[TrialState, Status] = {
        TrialState.WAITING: "waiting",
        TrialState.COMPLETE: "finished",
        TrialState.FAIL: "failed",
    }
    return names[trial.state]
