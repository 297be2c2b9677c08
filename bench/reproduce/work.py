"""What one worker does: it takes the next run that nobody is at until all are over."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.reproduce.plan import Plan
from bench.reproduce.session import MAX_STARTS, Outcome, Session
from bench.reproduce.state import Standing
from bench.reproduce.steps import Step
from bench.runs.run import Manners

WAIT_SEC = 1.0


class TakenError(Exception):
    """A process outside of this session is at the run."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all workers of one call share."""

    suite: Suite
    plan: Plan
    session: Session
    manners: Manners

    @property
    def standing(self) -> Standing:
        return Standing(suite=self.suite, plan=self.plan)

    def is_over(self, step: Step) -> bool:
        """Whether nothing is left to do for a step."""
        return step.run_id in self.session.outcomes() or self.standing.state(step) == "done"


def work(
    task: Task,
    *,
    worker: str,
    begun: Callable[[Step], None] | None = None,
    ended: Callable[[Outcome], None] | None = None,
) -> None:
    """Carry out what is left of the plan together with the other workers.

    A run that fails is noted with its reason, and the others go on. Ends when all are over.
    """
    left = list(task.plan.steps)
    while left := [step for step in left if not task.is_over(step)]:
        waiting = {step.run_id for step in left}
        ready = [step for step in left if waiting.isdisjoint(step.needs)]
        for step in ready:
            with task.session.claim(step.run_id) as is_ours:
                if not is_ours or task.is_over(step):
                    continue
                if begun:
                    begun(step)
                outcome = _attempt(task, step, worker)
                if outcome is not None:
                    task.session.settle(outcome)
                    if ended:
                        ended(outcome)
                    break
        else:
            time.sleep(WAIT_SEC)


def _attempt(task: Task, step: Step, worker: str) -> Outcome | None:
    """What becomes of a step; None where somebody else is at it."""
    session, run_id = task.session, step.run_id
    obstacle = task.standing.obstacle(step, session.outcomes())
    if obstacle is not None:
        return Outcome(run_id=run_id, status="failed", reason=obstacle)
    if session.begin(run_id, task.standing.progress(step)) > MAX_STARTS:
        reason = f"{MAX_STARTS} workers died at it without getting ahead"
        return Outcome(run_id=run_id, status="failed", reason=reason)
    session.at(worker, run_id)
    since = time.monotonic()
    try:
        record = _carry_out(task, step)
    except TakenError:
        session.take_back(run_id)
        return None
    except Exception as error:
        if not isinstance(error, BenchError):
            traceback.print_exc()
        return Outcome(
            run_id=run_id, status="failed", reason=_reason(error), seconds=time.monotonic() - since
        )
    finally:
        session.at(worker, None)
    return Outcome(
        run_id=run_id,
        status="finished" if record.status == "finished" else "diverged",
        value=record.metrics.get("test"),
        seconds=time.monotonic() - since,
    )


def _carry_out(task: Task, step: Step) -> Record:
    def taken(line: str) -> None:
        raise TakenError(line)

    again = task.standing.state(step) == "anew"
    manners = dataclasses.replace(task.manners, again=again, busy=taken)
    record = step.carry_out(task.suite, manners)
    assert record.id == step.run_id, f"planned {step.run_id}, made {record.id}"
    return record


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, BenchError) else f"{type(error).__name__}: {text}"
