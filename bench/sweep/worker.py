"""A worker: takes trial after trial until the budget is used up."""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from optuna.exceptions import UpdateFinishedTrialError

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.resolve import Resolved
from bench.runs.run import RunOptions, run, run_trial
from bench.sweep.claim import Claim, Claims, Told, beating, stoppable, undisturbed
from bench.sweep.sampling import make_pruner, should_prune
from bench.sweep.space import resolve_trial
from bench.sweep.storage import patiently
from bench.sweep.study import Studies
from bench.training.callbacks import PrunedError, Report

MAX_FAILURES = 3
"""After so many failed trials in a row something is wrong with more than a setting."""
POLL_SEC = 5.0


class TakenOverError(Exception):
    """Another worker has this trial by now: this one was silent for too long."""


@dataclass(frozen=True, kw_only=True)
class Sitting:
    """A trial and when this worker began with it."""

    claim: Claim
    begun: float

    @property
    def seconds(self) -> float:
        """What the trial has taken so far, in earlier hands, too."""
        return round(self.claim.earlier_sec + time.monotonic() - self.begun, 1)


class Worker:
    """Carries out trials of one sweep."""

    def __init__(
        self,
        studies: Studies,
        suite: Suite,
        *,
        run_options: RunOptions,
        say: Callable[[str], None] = print,
    ) -> None:
        self.studies, self.suite, self.run_options, self.say = studies, suite, run_options, say
        self.claims = Claims(studies)
        self._pause_sec = min(POLL_SEC, studies.storage.heartbeat_sec)

    def work(self) -> None:
        """Go on until every model's budget is used up and every repeat is run.

        On Ctrl-C the trial goes back, for anyone to go on with. Raises BenchError after three
        failures in a row, and when the storage stays out of reach.
        """
        num_failures = 0
        with stoppable():
            while (told := self._one()) != "done":
                if told == "wait":
                    time.sleep(self._pause_sec)
                    continue
                num_failures = num_failures + 1 if told.status == "failed" else 0
                if num_failures >= MAX_FAILURES:
                    raise BenchError(
                        f"{num_failures} trials in a row failed, the last one: {told.reason}"
                    )

    def _one(self) -> Told | Literal["wait", "done"]:
        """Carry out one trial, if there is any."""
        claim: Claim | Literal["wait", "done"] = "wait"
        begun = time.monotonic()
        try:
            with undisturbed():
                claim = patiently(self.claims.next)
            if not isinstance(claim, Claim):
                return claim
            begun = time.monotonic()
            self.say(_named(claim))
            with beating(self.studies.storage, claim.trial_id):
                told = self._carry_out(Sitting(claim=claim, begun=begun))
            with undisturbed():
                patiently(lambda: self.claims.tell(claim, told))
            self.say(f"  {_outcome(told)}")
            return told
        except TakenOverError:
            self.say("  another worker has it by now")
            return "wait"
        except BaseException:
            if isinstance(claim, Claim):
                self._give_back(Sitting(claim=claim, begun=begun))
            raise

    def _give_back(self, sitting: Sitting) -> None:
        # What cannot be given back is taken over once the heartbeat is late.
        with contextlib.suppress(Exception), undisturbed():
            self.claims.release(sitting.claim, seconds=sitting.seconds)

    def _carry_out(self, sitting: Sitting) -> Told:
        """Run the trial with each of its seeds; an error in it is an outcome, too."""
        try:
            return self._runs(sitting)
        except TakenOverError:
            raise
        except Exception as error:
            traceback.print_exc()
            reason = str(error) if isinstance(error, BenchError) else _in_one_line(error)
            return Told(status="failed", reason=reason, seconds=sitting.seconds)

    def _runs(self, sitting: Sitting) -> Told:
        claim, records = sitting.claim, list[Record]()
        for index, seed in enumerate(claim.seeds):
            resolved = resolve_trial(
                self.suite, self.studies.sweep, claim.model, claim.chosen, seed
            )
            records.append(self._run(sitting, resolved, index))
            if records[-1].status != "finished":
                break
        return summed_up(records)

    def _run(self, sitting: Sitting, resolved: Resolved, index: int) -> Record:
        if sitting.claim.kind == "repeat":
            return run(resolved, self.suite, self.run_options)
        report = self._reporter(sitting, resolved, index)
        return run_trial(resolved, self.suite, self.run_options, report=report)

    def _reporter(self, sitting: Sitting, resolved: Resolved, index: int) -> Report:
        """Stores each validation of the run with the seed of this index, and judges the trial."""
        claim, storage = sitting.claim, self.studies.storage.studies
        num_epochs = resolved.config.trainer.max_epochs
        total = num_epochs * len(claim.seeds)
        pruner = make_pruner(self.studies.sweep, self._most_epochs(num_epochs) * len(claim.seeds))
        patiently(lambda: storage.set_trial_user_attr(claim.trial_id, "epochs", total))

        def store(step: int, value: float) -> bool:
            if not self.claims.holds(claim):
                raise TakenOverError
            known = storage.get_trial(claim.trial_id)
            if step not in known.intermediate_values:
                storage.set_trial_intermediate_value(claim.trial_id, step, value)
                storage.set_trial_user_attr(claim.trial_id, "seconds", sitting.seconds)
                if known.user_attrs.get("losses"):
                    storage.set_trial_user_attr(claim.trial_id, "losses", 0)
            verdict, rungs = should_prune(pruner, claim.study, claim.number, step)
            for key, rung in rungs.items():
                storage.set_trial_system_attr(claim.trial_id, key, rung)
            return verdict

        def report(epoch: int, value: float) -> None:
            try:
                is_pruned = patiently(lambda: store(index * num_epochs + epoch, value))
            except UpdateFinishedTrialError:
                raise TakenOverError from None
            if is_pruned:
                raise PrunedError

        return report

    def _most_epochs(self, of_this_trial: int) -> int:
        """Epochs of the longest trial: brackets of Hyperband must be the same for all."""
        dimension = self.studies.sweep.space.get("trainer.max_epochs")
        values = (dimension.values if dimension else None) or [of_this_trial]
        return max(int(value) for value in values if value is not None)


def summed_up(records: Sequence[Record]) -> Told:
    """What a trial's runs come to: the mean of their validation metric, the sum of their costs."""
    last = records[-1]
    values = [record.metrics["valid"] for record in records if "valid" in record.metrics]
    value = math.fsum(values) / len(values) if values else math.nan
    is_number = not math.isnan(value)
    status = "diverged" if last.status == "finished" and not is_number else last.status
    return Told(
        status=status,
        value=value if status == "finished" else None,
        seconds=round(sum(record.cost.seconds for record in records), 1),
        flops=float(sum(_flops(record) for record in records)),
        num_parameters=last.cost.num_parameters,
        run_ids=tuple(record.id for record in records),
    )


def _flops(record: Record) -> float:
    """Training FLOPs; of records from before they were counted, from speed and time."""
    cost = record.cost
    if cost.flops is not None:
        return cost.flops
    return (cost.flops_per_token or 0) * (cost.tokens_per_sec or 0.0) * cost.seconds


def _named(claim: Claim) -> str:
    chosen = ", ".join(f"{key}={value}" for key, value in claim.chosen.items())
    if claim.kind == "repeat":
        return f"{claim.model}, best again with seed {claim.seeds[0]}: {chosen}"
    return f"{claim.model}, trial {claim.number}: {chosen}"


def _outcome(told: Told) -> str:
    value = "" if told.value is None else f" {told.value:.6g}"
    return f"{told.status}{value}" + (f": {told.reason}" if told.reason else "")


def _in_one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")
