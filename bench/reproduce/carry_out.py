"""Execution of a plan: in this process, or by workers that a launcher starts."""

from __future__ import annotations

import dataclasses
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.launch.launcher import Launcher
from bench.launch.watch import last_line, watch
from bench.reproduce.estimate import format_duration, outcome_line, start_line
from bench.reproduce.plan import Plan
from bench.reproduce.session import MAX_STARTS, Outcome, Session
from bench.reproduce.steps import Step
from bench.runs.run import RunOptions

POLL_SEC = 1.0


class RunBusyError(Exception):
    """Raised if a process outside of this session carries out the run."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Plan, session and options that all workers of one call share."""

    plan: Plan
    session: Session
    run_options: RunOptions

    def is_over(self, step: Step) -> bool:
        """True if a step has its record, or an outcome in this session."""
        return step.run_id in self.session.outcomes() or self.plan.state(step) == "done"

    def unfinished(self, steps: Iterable[Step]) -> list[Step]:
        """Select the steps that are not over."""
        return [step for step in steps if not self.is_over(step)]


def work(
    job: Job,
    *,
    worker: str,
    on_start: Callable[[Step], None] = lambda _: None,
    on_end: Callable[[Outcome], None] = lambda _: None,
) -> None:
    """Worker loop: claim and carry out unclaimed steps until all are over.

    A failed run is recorded with its reason, and the loop goes on.
    """
    steps: Sequence[Step] = job.plan.steps
    while steps := job.unfinished(steps):
        waiting = {step.run_id for step in steps}
        for step in steps:
            if not waiting.isdisjoint(step.needs):
                continue
            with job.session.claim(step.run_id) as is_claimed:
                if not is_claimed or job.is_over(step):
                    continue
                on_start(step)
                outcome = _run_step(job, step, worker)
                if outcome is not None:
                    job.session.add_outcome(outcome)
                    on_end(outcome)
                    break
        else:
            time.sleep(POLL_SEC)


def _run_step(job: Job, step: Step, worker: str) -> Outcome | None:
    """Carry out a step; None if a process outside of this session does."""
    session, run_id = job.session, step.run_id
    reason = job.plan.obstacle(step, session.outcomes())
    if reason is None and session.add_start(run_id, job.plan.progress(step)) > MAX_STARTS:
        reason = f"{MAX_STARTS} workers died in this run without a new checkpoint"
    if reason is not None:
        return Outcome(run_id=run_id, status="failed", reason=reason)
    session.set_activity(worker, run_id)
    started = time.monotonic()
    try:
        record = _make_record(job, step)
    except RunBusyError:
        session.undo_start(run_id)
        return None
    except Exception as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, BenchError):
            traceback.print_exc()
            reason = f"{type(error).__name__}: {reason}"
        seconds = time.monotonic() - started
        return Outcome(run_id=run_id, status="failed", reason=reason, seconds=seconds)
    finally:
        session.set_activity(worker, None)
    return Outcome(
        run_id=run_id,
        status="finished" if record.status == "finished" else "diverged",
        value=record.metrics.get("test"),
        seconds=time.monotonic() - started,
    )


def _make_record(job: Job, step: Step) -> Record:
    def raise_busy(line: str) -> None:
        raise RunBusyError(line)

    again = job.plan.state(step) == "anew"
    run_options = dataclasses.replace(job.run_options, again=again, busy=raise_busy)
    record = step.carry_out(job.plan.suite, run_options)
    assert record.id == step.run_id, f"planned {step.run_id}, made {record.id}"
    return record


def run_in_process(job: Job) -> dict[str, Outcome]:
    """Carry out the plan in this process, one run after another; outcomes by run."""
    report = _Report(job, None)
    work(
        job,
        worker="worker-1",
        on_start=lambda step: report.print_line(start_line(step)),
        on_end=lambda _: report.update(),
    )
    return job.session.outcomes()


def run_with_workers(
    launcher: Launcher,
    job: Job,
    command_for: Callable[[int], Sequence[str]],
    *,
    num_workers: int,
    environment: dict[str, str],
) -> dict[str, Outcome]:
    """Carry out the plan with workers that run `command_for` their number; outcomes by run.

    On a terminal a line per worker shows its current run. After Ctrl-C, KeyboardInterrupt is raised
    when the workers have ended.
    """
    console = Console(stderr=True)
    display = Live(console=console, refresh_per_second=2) if console.is_terminal else None
    report = _Report(job, display)
    if display:
        display.start()
    try:
        watch(
            launcher,
            command_for,
            num_workers,
            environment=environment,
            logs=job.session.folder,
            on_tick=report.update,
            is_done=lambda: not job.unfinished(report.steps.values()),
            max_restarts=MAX_STARTS * max(1, len(report.steps)),
            on_event=report.print_line,
        )
        report.update()
    finally:
        if display:
            display.update(Text(""))
            display.stop()
    reason = f"no worker is left to run it, see {job.session.folder}"
    lost = {
        step.run_id: Outcome(run_id=step.run_id, status="failed", reason=reason)
        for step in job.unfinished(report.steps.values())
    }
    return {**job.session.outcomes(), **lost}


class _Report:
    """Prints a line for each run that ends, and displays the workers' current runs."""

    def __init__(self, job: Job, display: Live | None) -> None:
        self.job, self.display = job, display
        self.steps = {step.run_id: step for step in job.unfinished(job.plan.steps)}
        self._printed: set[str] = set()

    def update(self) -> None:
        session = self.job.session
        for run_id, outcome in session.outcomes().items():
            if run_id not in self._printed and run_id in self.steps:
                self._printed.add(run_id)
                line = outcome_line(
                    outcome, self.steps[run_id], metric=self.job.plan.card.metric.name
                )
                self.print_line(f"[{len(self._printed)}/{len(self.steps)}] {line}")
        if self.display:
            lines = [
                f"{name}  {activity.run_id}  {format_duration(time.time() - activity.since_sec)}  "
                f"{last_line(session.folder / f'{name}.log')}"
                for name, activity in session.activities().items()
            ]
            self.display.update(Text("\n".join(lines), overflow="ellipsis", no_wrap=True))

    def print_line(self, line: str) -> None:
        if self.display:
            self.display.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)
