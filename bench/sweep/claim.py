"""Claims on trials: each trial of a sweep is worked on by one worker at a time.

A trial keeps its number for life. If its worker is killed, another worker claims the same trial and
its run resumes from the checkpoint, so that nothing is lost, repeated or left running.
"""

from __future__ import annotations

import dataclasses
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from bench.core.config import Scalar
from bench.sweep.budget import used_share
from bench.sweep.sampling import propose
from bench.sweep.space import clean
from bench.sweep.status import (
    SweepState,
    is_own,
    lost_trials,
    process_identity,
    read_state,
    worker_name,
)
from bench.sweep.storage import Storage
from bench.sweep.study import Kind, Studies

MAX_LOSSES = 10
"""Number of workers that may be lost over one trial between two of its validations."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One trial that this worker carries out."""

    kind: Kind
    model: str
    study: optuna.Study
    number: int
    trial_id: int
    chosen: dict[str, Scalar]
    seeds: list[int]
    token: str
    """Random text by which the storage names the claim that is valid."""
    earlier_sec: float
    """Seconds spent on the trial under earlier claims."""
    claimed_sec: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds spent on the trial so far, under all claims."""
        return round(self.earlier_sec + time.monotonic() - self.claimed_sec, 1)


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """Status, value and cost of a trial at its end."""

    status: Literal["finished", "pruned", "diverged", "failed"]
    value: float | None = None
    seconds: float = 0.0
    flops: float = 0.0
    num_parameters: int | None = None
    run_ids: tuple[str, ...] = ()
    reason: str | None = None


class Claims:
    """Ask-and-tell interface to the trials of a sweep, shared safely by many workers."""

    def __init__(self, studies: Studies) -> None:
        self.studies = studies
        self._backend = studies.storage.backend

    def ask(self) -> Claim | Literal["wait", "done"]:
        """Claim a trial: an abandoned one, else a new one, else a repeat of the best.

        `wait` if only other workers' trials are left, which may yet be lost.
        """
        with self.studies.storage.lock():
            if claim := self._claim_abandoned():
                return claim
            state = read_state(self.studies)
            if claim := self._claim_new_trial(state) or self._claim_new_repeat(state):
                return claim
            return "wait" if state.unfinished() else "done"

    def tell(self, claim: Claim, outcome: TrialOutcome) -> bool:
        """End a trial; False if the claim is no longer valid."""
        with self.studies.storage.lock():
            if is_valid := self.is_valid(claim):
                self._end(claim.study, claim.number, claim.trial_id, outcome)
            return is_valid

    def release(self, claim: Claim) -> None:
        """Return an unfinished trial, to be claimed by any worker at once."""
        with self.studies.storage.lock():
            if self.is_valid(claim):
                self._set(claim.trial_id, seconds=claim.seconds)
                self._backend.set_trial_state_values(claim.trial_id, TrialState.WAITING)

    def is_valid(self, claim: Claim) -> bool:
        """True if the trial is running and has not been claimed by another worker since."""
        trial = self._backend.get_trial(claim.trial_id)
        has_token: bool = trial.user_attrs.get("claim", {}).get("token") == claim.token
        return has_token and trial.state == TrialState.RUNNING

    def _claim_abandoned(self) -> Claim | None:
        """Claim the first trial that is waiting or whose worker is gone."""
        for kind, model, study in self.studies.all():
            trials = study.get_trials(
                deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING)
            )
            lost = lost_trials(self.studies.storage, study, trials)
            for trial in trials:
                is_lost = trial._trial_id in lost
                if is_lost and trial.user_attrs.get("losses", 0) >= MAX_LOSSES:
                    reason = f"{MAX_LOSSES + 1} workers were lost without a new validation"
                    outcome = TrialOutcome(status="failed", reason=reason)
                    self._end(study, trial.number, trial._trial_id, outcome)
                elif is_lost or trial.state == TrialState.WAITING or is_own(trial):
                    return self._claim(kind, model, study, trial, losses=int(is_lost))
        return None

    def _claim_new_trial(self, state: SweepState) -> Claim | None:
        """Claim a new trial of the model with the smallest used share of its budget."""
        sweep = self.studies.sweep
        shares = {model: used_share(sweep, model, state.results(model)) for model in sweep.models}
        model = min(shares, key=lambda name: shares[name])
        if shares[model] >= 1:
            return None
        history = [trial.frozen for trial in state.trials[model]]
        proposed = propose(sweep, model, history, self.studies.card.metric.direction)
        return self._add_and_claim("trial", model, proposed, {})

    def _claim_new_repeat(self, state: SweepState) -> Claim | None:
        for model in self.studies.sweep.models:
            seed, best = state.next_repeat_seed(model), state.best(model)
            if seed is not None and best is not None:
                frozen = state.trials[model][best.number].frozen
                attributes = {"of": best.number, "seed": seed}
                return self._add_and_claim("repeat", model, frozen, attributes)
        return None

    def _add_and_claim(
        self, kind: Kind, model: str, proposed: FrozenTrial, attributes: dict[str, int]
    ) -> Claim:
        """Store a new trial in one step and claim it."""
        study = (self.studies.trials if kind == "trial" else self.studies.repeats)[model]
        study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=proposed.params,
                distributions=proposed.distributions,
                user_attrs=dict(attributes),
                system_attrs=proposed.system_attrs if kind == "trial" else {},
            )
        )
        (added,) = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return self._claim(kind, model, study, added, losses=0)

    def _claim(
        self, kind: Kind, model: str, study: optuna.Study, trial: FrozenTrial, *, losses: int
    ) -> Claim:
        trial_id, known, token = trial._trial_id, trial.user_attrs, uuid.uuid4().hex
        if "claim" in known:
            losses += known.get("losses", 0)
            self._set(trial_id, resumed=known.get("resumed", 0) + 1, losses=losses)
        claim = {"worker": worker_name(), "process": process_identity(), "token": token}
        self._set(trial_id, claim=claim)
        # Before the state: a running trial without a heartbeat would never become stale.
        self._backend.record_heartbeat(trial_id)
        if trial.state == TrialState.WAITING:
            self._backend.set_trial_state_values(trial_id, TrialState.RUNNING)
        return Claim(
            kind=kind,
            model=model,
            study=study,
            number=trial.number,
            trial_id=trial_id,
            chosen=clean(self.studies.sweep.space, trial.params),
            seeds=self.studies.sweep.seeds if kind == "trial" else [int(known["seed"])],
            token=token,
            earlier_sec=float(known.get("seconds", 0.0)),
        )

    def _end(self, study: optuna.Study, number: int, trial_id: int, outcome: TrialOutcome) -> None:
        stored = {**dataclasses.asdict(outcome), "ended": time.time()}
        del stored["value"]  # Optuna keeps it
        self._set(trial_id, outcome=stored)
        states = {"finished": TrialState.COMPLETE, "failed": TrialState.FAIL}
        study.tell(number, outcome.value, states.get(outcome.status, TrialState.PRUNED))

    def _set(self, trial_id: int, **attributes: object) -> None:
        for key, value in attributes.items():
            self._backend.set_trial_user_attr(trial_id, key, value)


@contextmanager
def heartbeats(storage: Storage, trial_id: int) -> Iterator[None]:
    """Record heartbeats of a trial from a thread until the block ends."""
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(storage.heartbeat_sec):
            try:
                storage.backend.record_heartbeat(trial_id)
            except (StorageInternalError, SQLAlchemyError):
                storage.backend.remove_session()  # it may be back at the next beat
        storage.backend.remove_session()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
