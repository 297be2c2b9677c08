"""Carrying out a plan: in this process, or by workers that a launcher starts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.launch.launcher import Launcher
from bench.launch.watch import watch
from bench.reproduce.session import MAX_STARTS, Outcome
from bench.reproduce.show import begun_line, duration, outcome_line
from bench.reproduce.steps import Step
from bench.reproduce.work import Task, work
from bench.runs.run import corpus_of

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
            f"{_last_line(session.log(name))}"
            for name, doing in session.doing().items()
        ]


def _last_line(log: Path) -> str:
    """The end of a log that may be long."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 1000), os.SEEK_SET)
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
