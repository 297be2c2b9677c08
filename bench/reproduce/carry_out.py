"""Carrying out a plan: in this process, or by workers that a launcher starts."""

from __future__ import annotations

import dataclasses
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.launch.launcher import Launcher
from bench.launch.watch import last_line, watch
from bench.reproduce.estimate import begun_line, duration, outcome_line
from bench.reproduce.plan import Plan
from bench.reproduce.session import MAX_STARTS, Outcome, Session, Standing
from bench.reproduce.steps import Step
from bench.runs.run import RunOptions, corpus_of

# What one worker does: it takes the next run that nobody is at until all are over.


WAIT_SEC = 1.0


class TakenError(Exception):
    """A process outside of this session is at the run."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all workers of one call share."""

    suite: Suite
    plan: Plan
    session: Session
    run_options: RunOptions

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
    run_options = dataclasses.replace(task.run_options, again=again, busy=taken)
    record = step.carry_out(task.suite, run_options)
    assert record.id == step.run_id, f"planned {step.run_id}, made {record.id}"
    return record


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, BenchError) else f"{type(error).__name__}: {text}"


RESTARTS_PER_RUN = MAX_STARTS
"""Deaths that every run may cost; one that costs more is given up, see `work`."""


def check_data(steps: Sequence[Step]) -> None:
    """Refuse, before anything begins, what every run would be: missing or altered files."""
    corpus_of(steps[0].resolved, style="plain")  # one task, and the data of one call


def carry_out_here(task: Task) -> dict[str, Outcome]:
    """One run after the other, in this process; what became of each."""
    report = _Report(task=task, display=None)
    work(
        task,
        worker="worker-1",
        begun=lambda step: report.say(begun_line(step)),
        ended=lambda _: report.tell(),
    )
    return task.session.outcomes()


def carry_out_with(
    launcher: Launcher,
    task: Task,
    command_for: Callable[[int], Sequence[str]],
    *,
    num_workers: int,
    environment: dict[str, str],
) -> dict[str, Outcome]:
    """By workers that run `command_for` their number; what became of each run.

    On a terminal a line for each worker says what it is at. KeyboardInterrupt is raised when the
    workers have ended after Ctrl-C.
    """
    console = Console(stderr=True)
    display = Live(console=console, refresh_per_second=2) if console.is_terminal else None
    report = _Report(task=task, display=display)
    if display:
        display.start()
    try:
        watch(
            launcher,
            command_for,
            num_workers,
            environment=environment,
            logs=task.session.folder,
            on_tick=report.tell,
            is_done=report.is_over,
            max_restarts=RESTARTS_PER_RUN * max(1, len(report.left)),
            on_event=report.say,
        )
        report.tell()
    finally:
        if display:
            display.update(Text(""))
            display.stop()
    given_up = [step for step in report.left if not task.is_over(step)]
    reason = f"no worker was left to run it, see {task.session.folder}"
    lost = {s.run_id: Outcome(run_id=s.run_id, status="failed", reason=reason) for s in given_up}
    return {**task.session.outcomes(), **lost}


@dataclass(kw_only=True)
class _Report:
    """Tells of every run that is over, once."""

    task: Task
    display: Live | None
    left: list[Step] = field(init=False)
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.left = [step for step in self.task.plan.steps if not self.task.is_over(step)]

    def is_over(self) -> bool:
        return all(self.task.is_over(step) for step in self.left)

    def tell(self) -> None:
        steps = {step.run_id: step for step in self.left}
        for run_id, outcome in self.task.session.outcomes().items():
            if run_id not in self._told and run_id in steps:
                self._told.add(run_id)
                self.say(
                    outcome_line(
                        outcome,
                        steps[run_id],
                        place=len(self._told),
                        total=len(self.left),
                        metric=self.task.plan.card.metric.name,
                    )
                )
        if self.display:
            self.display.update(Text("\n".join(self._workers()), overflow="ellipsis", no_wrap=True))

    def say(self, line: str) -> None:
        if self.display:
            self.display.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def _workers(self) -> list[str]:
        session = self.task.session
        return [
            f"{name}  {doing.run_id}  {duration(time.time() - doing.since_sec)}  "
            f"{last_line(session.log(name))}"
            for name, doing in session.doing().items()
        ]
