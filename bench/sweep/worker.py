"""Worker loop of a sweep: carries out trial after trial until the budget is used up."""

from __future__ import annotations

import contextlib
import math
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from optuna.exceptions import UpdateFinishedTrialError

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.launch.watch import handle_signals, raise_interrupt
from bench.runs.resolve import Resolved
from bench.runs.run import RunOptions, run, run_trial
from bench.sweep.claim import Claim, Claims, TrialOutcome, heartbeats
from bench.sweep.sampling import make_pruner, should_prune
from bench.sweep.space import resolve_trial
from bench.sweep.study import Studies
from bench.training.callbacks import PrunedError, Report

MAX_FAILURES = 3
"""Number of failed trials in a row that ends the worker: more than a setting must be wrong."""
POLL_SEC = 5.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ClaimLostError(Exception):
    """Raised if another worker has claimed the trial, since this one's heartbeats were late."""


class Worker:
    """Carries out trials of one sweep."""

    def __init__(
        self,
        studies: Studies,
        suite: Suite,
        *,
        run_options: RunOptions,
        log: Callable[[str], None] = print,
    ) -> None:
        self.studies, self.suite, self.run_options, self.log = studies, suite, run_options, log
        self.claims = Claims(studies)
        self._retry = studies.storage.retry
        self._pause_sec = min(POLL_SEC, studies.storage.heartbeat_sec)

    def run(self) -> None:
        """Work until every model's budget is used up and every repeat has ended.

        On Ctrl-C or SIGTERM the trial is released, for any worker to resume. Raises BenchError
        after three failures in a row, and if the storage stays unreachable.
        """
        num_failures = 0
        with handle_signals(STOP_SIGNALS, raise_interrupt):
            while (outcome := self._run_next()) != "done":
                if outcome == "wait":
                    time.sleep(self._pause_sec)
                    continue
                num_failures = num_failures + 1 if outcome.status == "failed" else 0
                if num_failures >= MAX_FAILURES:
                    raise BenchError(
                        f"{num_failures} trials in a row failed, the last one: {outcome.reason}"
                    )

    def _run_next(self) -> TrialOutcome | Literal["wait", "done"]:
        claim: Claim | Literal["wait", "done"] = "wait"
        try:
            with _deferred_interrupts():
                claim = self._retry(self.claims.ask)
            if not isinstance(claim, Claim):
                return claim
            self.log(_title(claim))
            with heartbeats(self.studies.storage, claim.trial_id):
                outcome = self._run_trial(claim)
            with _deferred_interrupts():
                self._retry(lambda: self.claims.tell(claim, outcome))
            value = "" if outcome.value is None else f" {outcome.value:.6g}"
            reason = f": {outcome.reason}" if outcome.reason else ""
            self.log(f"  {outcome.status}{value}{reason}")
            return outcome
        except ClaimLostError:
            self.log("  another worker has claimed this trial")
            return "wait"
        except BaseException:
            # A trial that cannot be released is taken over once its heartbeat is late.
            if isinstance(claim, Claim):
                with contextlib.suppress(Exception), _deferred_interrupts():
                    self.claims.release(claim)
            raise

    def _run_trial(self, claim: Claim) -> TrialOutcome:
        """Run the trial with each of its seeds; an error becomes a failed outcome."""
        records: list[Record] = []
        try:
            for index, seed in enumerate(claim.seeds):
                sweep = self.studies.sweep
                resolved = resolve_trial(self.suite, sweep, claim.model, claim.chosen, seed)
                if claim.kind == "repeat":
                    records.append(run(resolved, self.suite, self.run_options))
                else:
                    report = self._make_report(claim, resolved, index)
                    records.append(run_trial(resolved, self.suite, self.run_options, report=report))
                if records[-1].status != "finished":
                    break
            return combine(records)
        except ClaimLostError:
            raise
        except Exception as error:
            traceback.print_exc()
            reason = str(error)
            if not isinstance(error, BenchError):
                first_line = reason.strip().partition("\n")[0]
                reason = f"{type(error).__name__}: {first_line}".rstrip(": ")
            return TrialOutcome(status="failed", reason=reason, seconds=claim.seconds)

    def _make_report(self, claim: Claim, resolved: Resolved, index: int) -> Report:
        """Callback that stores each validation of the run of seed `index` and prunes the trial."""
        backend = self.studies.storage.backend
        num_epochs = resolved.config.trainer.max_epochs
        num_steps = num_epochs * len(claim.seeds)
        # Hyperband's brackets must be the same for all trials: the longest one counts.
        dimension = self.studies.sweep.space.get("trainer.max_epochs")
        epochs = (dimension.values if dimension else None) or [num_epochs]
        max_epochs = max(int(value) for value in epochs if value is not None)
        pruner = make_pruner(self.studies.sweep, max_epochs * len(claim.seeds))
        self._retry(lambda: backend.set_trial_user_attr(claim.trial_id, "epochs", num_steps))

        def store(step: int, value: float) -> bool:
            if not self.claims.is_valid(claim):
                raise ClaimLostError
            known = backend.get_trial(claim.trial_id)
            if step not in known.intermediate_values:
                backend.set_trial_intermediate_value(claim.trial_id, step, value)
                backend.set_trial_user_attr(claim.trial_id, "seconds", claim.seconds)
                if known.user_attrs.get("losses"):
                    backend.set_trial_user_attr(claim.trial_id, "losses", 0)
            is_pruned, rungs = should_prune(pruner, claim.study, claim.number, step)
            for key, rung in rungs.items():
                backend.set_trial_system_attr(claim.trial_id, key, rung)
            return is_pruned

        def report(epoch: int, value: float) -> None:
            try:
                is_pruned = self._retry(lambda: store(index * num_epochs + epoch, value))
            except UpdateFinishedTrialError:
                raise ClaimLostError from None
            if is_pruned:
                raise PrunedError

        return report


def combine(records: Sequence[Record]) -> TrialOutcome:
    """Outcome of a trial by its runs: the mean validation metric and the sum of costs."""
    last = records[-1]
    values = [record.metrics["valid"] for record in records if "valid" in record.metrics]
    value = math.fsum(values) / len(values) if values else math.nan
    status = "diverged" if last.status == "finished" and math.isnan(value) else last.status
    return TrialOutcome(
        status=status,
        value=value if status == "finished" else None,
        seconds=round(sum(record.cost.seconds for record in records), 1),
        flops=float(sum(_flops(record) for record in records)),
        num_parameters=last.cost.num_parameters,
        run_ids=tuple(record.id for record in records),
    )


def _flops(record: Record) -> float:
    """Training FLOPs; of older records, which lack them, by speed and time."""
    cost = record.cost
    if cost.flops is not None:
        return cost.flops
    return (cost.flops_per_token or 0) * (cost.tokens_per_sec or 0.0) * cost.seconds


def _title(claim: Claim) -> str:
    chosen = ", ".join(f"{key}={value}" for key, value in claim.chosen.items())
    if claim.kind == "repeat":
        return f"{claim.model}, best again with seed {claim.seeds[0]}: {chosen}"
    return f"{claim.model}, trial {claim.number}: {chosen}"


@contextlib.contextmanager
def _deferred_interrupts() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the block ends, then raise KeyboardInterrupt."""
    received: list[int] = []
    with handle_signals(STOP_SIGNALS, lambda number, _: received.append(number)):
        yield
    if received:
        raise KeyboardInterrupt
