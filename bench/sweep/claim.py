"""Who works on which trial: asking, telling, giving back; one worker at a time.

A trial keeps its number for life. One whose worker was killed is taken over as it is, under its
own number, and its run goes on from the checkpoint; so nothing is lost, done twice or left
running, however often workers die.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Literal

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from bench.core.config import Scalar
from bench.sweep.budget import share_spent
from bench.sweep.sampling import propose
from bench.sweep.space import clean
from bench.sweep.status import State, identity, is_own, lost_trials, read_state, worker_name
from bench.sweep.storage import Storage
from bench.sweep.study import Kind, Studies

MAX_LOSSES = 10
"""So many workers may be lost over one trial, between two of its validations."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One trial in the hands of this worker."""

    kind: Kind
    model: str
    study: optuna.Study
    number: int
    trial_id: int
    chosen: dict[str, Scalar]
    seeds: list[int]
    token: str
    earlier_sec: float
    """Seconds that it took in earlier hands."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came of a trial."""

    status: Literal["finished", "pruned", "diverged", "failed"]
    value: float | None = None
    seconds: float = 0.0
    flops: float = 0.0
    num_parameters: int | None = None
    run_ids: tuple[str, ...] = ()
    reason: str | None = None


class Claims:
    """The trials of a sweep, as one worker takes and returns them."""

    def __init__(self, studies: Studies) -> None:
        self.studies = studies
        self._storage = studies.storage.studies

    def next(self) -> Claim | Literal["wait", "done"]:
        """A trial to work on: one that was left, else a new one, else a repeat of the best.

        `wait` when only other workers' trials are left, which may yet be lost.
        """
        with self.studies.storage.alone():
            if claim := self._left():
                return claim
            state = read_state(self.studies)
            if claim := self._new_trial(state) or self._new_repeat(state):
                return claim
            return "wait" if state.live() else "done"

    def tell(self, claim: Claim, told: Told) -> bool:
        """End a trial; false where another worker has it by now, or has told it."""
        with self.studies.storage.alone():
            if not self.holds(claim):
                return False
            self._note_end(claim.trial_id, told)
            state = {
                "finished": TrialState.COMPLETE,
                "pruned": TrialState.PRUNED,
                "diverged": TrialState.PRUNED,
                "failed": TrialState.FAIL,
            }[told.status]
            claim.study.tell(claim.number, told.value, state)
            return True

    def release(self, claim: Claim, *, seconds: float) -> None:
        """Give a trial back unfinished, for anyone to take at once."""
        with self.studies.storage.alone():
            if self.holds(claim):
                self._note(claim.trial_id, seconds=seconds)
                self._storage.set_trial_state_values(claim.trial_id, TrialState.WAITING)

    def holds(self, claim: Claim) -> bool:
        """Whether a trial is still this worker's."""
        trial = self._storage.get_trial(claim.trial_id)
        held: bool = trial.user_attrs.get("claim", {}).get("token") == claim.token
        return held and trial.state == TrialState.RUNNING

    def _left(self) -> Claim | None:
        """The first trial that waits, or whose worker is gone."""
        for kind, model, study in self.studies.all():
            trials = study.get_trials(
                deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING)
            )
            lost = lost_trials(self.studies.storage, study, trials)
            for trial in trials:
                is_lost = trial._trial_id in lost
                if is_lost and trial.user_attrs.get("losses", 0) >= MAX_LOSSES:
                    self._give_up(study, trial)
                elif is_lost or trial.state == TrialState.WAITING or is_own(trial):
                    return self._take(kind, model, study, trial, losses=int(is_lost))
        return None

    def _give_up(self, study: optuna.Study, trial: FrozenTrial) -> None:
        reason = f"{MAX_LOSSES + 1} workers were lost over it without a validation between"
        self._note_end(trial._trial_id, Told(status="failed", reason=reason))
        study.tell(trial.number, state=TrialState.FAIL)

    def _new_trial(self, state: State) -> Claim | None:
        """A trial of the model that has used the least of its budget, if there is any left."""
        sweep = self.studies.sweep
        shares = {model: share_spent(sweep, model, state.results(model)) for model in sweep.models}
        model = min(shares, key=lambda name: shares[name])
        if shares[model] >= 1:
            return None
        history = [seen.stored for seen in state.trials[model]]
        drawn = propose(sweep, model, history, self.studies.card.metric.direction)
        return self._add("trial", model, drawn, {})

    def _new_repeat(self, state: State) -> Claim | None:
        for model in self.studies.sweep.models:
            seed, best = state.seed_to_repeat(model), state.best(model)
            if seed is not None and best is not None:
                stored = state.trials[model][best.number].stored
                return self._add("repeat", model, stored, {"of": best.number, "seed": seed})
        return None

    def _add(self, kind: Kind, model: str, drawn: FrozenTrial, attributes: dict[str, int]) -> Claim:
        """Store a trial, all of it in one step, and take it."""
        study = (self.studies.trials if kind == "trial" else self.studies.repeats)[model]
        study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=drawn.params,
                distributions=drawn.distributions,
                user_attrs=dict(attributes),
                system_attrs=drawn.system_attrs if kind == "trial" else {},
            )
        )
        (added,) = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return self._take(kind, model, study, added, losses=0)

    def _take(
        self, kind: Kind, model: str, study: optuna.Study, trial: FrozenTrial, *, losses: int
    ) -> Claim:
        known, token = trial.user_attrs, uuid.uuid4().hex
        if "claim" in known:
            self._note(
                trial._trial_id,
                resumed=known.get("resumed", 0) + 1,
                losses=known.get("losses", 0) + losses,
            )
        claim = {"worker": worker_name(), "process": identity(), "token": token}
        self._note(trial._trial_id, claim=claim)
        # Before the state: a running trial without a heartbeat would never grow stale.
        self._storage.record_heartbeat(trial._trial_id)
        if trial.state == TrialState.WAITING:
            self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        return Claim(
            kind=kind,
            model=model,
            study=study,
            number=trial.number,
            trial_id=trial._trial_id,
            chosen=clean(self.studies.sweep.space, trial.params),
            seeds=self.studies.sweep.seeds if kind == "trial" else [int(known["seed"])],
            token=token,
            earlier_sec=float(known.get("seconds", 0.0)),
        )

    def _note_end(self, trial_id: int, told: Told) -> None:
        outcome = {**dataclasses.asdict(told), "ended": time.time()}
        self._note(trial_id, outcome={k: v for k, v in outcome.items() if k != "value"})

    def _note(self, trial_id: int, **attributes: object) -> None:
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, key, value)


# A worker's signs of life while a trial runs, and work that Ctrl-C may not cut in two.


STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def beating(storage: Storage, trial_id: int) -> Iterator[None]:
    """Record a heartbeat every so often, from a thread of its own, until the block is over."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(storage.heartbeat_sec):
            # A storage that is out of reach may be back at the next beat.
            with contextlib.suppress(StorageInternalError, SQLAlchemyError):
                storage.studies.record_heartbeat(trial_id)
        storage.studies.remove_session()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM until the block is over; then KeyboardInterrupt is raised."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def put_off(number: int, _: FrameType | None) -> None:
        caught.append(number)

    before = {number: signal.signal(number, put_off) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if caught:
        raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[None]:
    """Make SIGTERM, which schedulers and `docker stop` send, the same as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: int | FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
