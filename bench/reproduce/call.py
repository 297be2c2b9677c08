"""One call of `bench reproduce`: what is wanted, how workers join it, what it shows."""

from __future__ import annotations

import difflib
import fnmatch
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bench.core.cards import Card
from bench.core.config import dotted
from bench.core.errors import BenchError
from bench.core.published import PublishedRow, load_published
from bench.core.suite import Suite
from bench.launch.launcher import LauncherName, bench_command, make_launcher, thread_variables
from bench.reproduce.carry_out import Task, carry_out_here, carry_out_with, check_data, work
from bench.reproduce.estimate import begun_line, estimate_all, plan_text
from bench.reproduce.plan import Plan, make_plan
from bench.reproduce.session import Outcome, Session, Standing, open_session
from bench.reproduce.steps import Step
from bench.runs.run import RunOptions
from bench.table import Table, task_table
from bench.tracking.options import DEFAULTS, Kind, TrackOptions
from bench.training.progress import Style

# Which published rows are meant: patterns over labels, models and recipes.


def select_rows(
    card: Card, rows: Sequence[PublishedRow], patterns: Sequence[str]
) -> list[PublishedRow]:
    """The rows that fit any pattern, in their order; all of them without a pattern.

    A pattern such as `scrn*` is compared with a row's label, its model and its recipe, upper and
    lower case alike. Raises BenchError for one that fits nothing, with the nearest names.
    """
    names = [names_of(card, row) for row in rows]
    for pattern in patterns:
        if not any(_fits(pattern, name) for found in names for name in found):
            raise BenchError(
                f"--rows {pattern!r} fits no published row of {card.task}{_nearest(pattern, names)}"
            )
    return [
        row
        for row, found in zip(rows, names, strict=True)
        if not patterns or any(_fits(pattern, name) for pattern in patterns for name in found)
    ]


def names_of(card: Card, row: PublishedRow) -> list[str]:
    """What a row may be called: its label, its model and the recipe that trains it."""
    model = str(row.match["model.name"]) if row.match else None
    recipe = row.recipe or (model if model in card.recipes else None)
    return list(dict.fromkeys(name for name in (row.label, model, recipe) if name))


def _fits(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())


def _nearest(pattern: str, names: Sequence[Sequence[str]]) -> str:
    known = {name.lower(): name for found in names for name in found}
    close = difflib.get_close_matches(pattern.lower().strip("*?"), known, n=3, cutoff=0.4)
    hint = " or ".join(repr(known[name]) for name in close)
    return f", did you mean {hint}?" if hint else ": its labels are those of `bench table`"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a call asks for; its workers are told the same."""

    suite: Suite
    task: str
    patterns: tuple[str, ...] = ()
    num_seeds: int = 3
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of data and trainer, as text."""
    track: Kind = "none"
    tracking: TrackOptions = DEFAULTS

    def plan(self) -> Plan:
        """The runs; BenchError where there are no rows, or none that fit."""
        card = self.suite.card(self.task)
        published = load_published(self.suite, self.task)
        if not published:
            raise BenchError(f"task {self.task!r} has no published rows: nothing to reproduce")
        rows = select_rows(card, published, self.patterns)
        return make_plan(
            self.suite, self.task, rows, num_seeds=self.num_seeds, settings=self.settings
        )

    def worker_command(self, session: Session, number: int) -> list[str]:
        """The command of one worker."""
        words: list[object] = ["reproduce", self.task, "--seeds", self.num_seeds]
        for pattern in self.patterns:
            words += ["--rows", pattern]
        for key, value in dotted(self.settings).items():
            words += [f"--{key}", value]
        words += ["--track", self.track, *self.tracking.words()]
        words += ["--suite", self.suite.folder.resolve()]
        words += ["--as-worker", number, "--session", session.folder.resolve()]
        return bench_command(*words)

    def shared(self, plan: Plan, session: Session, style: Style) -> Task:
        """What the workers share, with the run_options of their runs."""
        run_options = RunOptions(
            style=style,
            track=self.track,
            tracking=self.tracking,
            group=f"reproduce-{self.task}",
        )
        return Task(suite=self.suite, plan=plan, session=session, run_options=run_options)


def plan_and_time(wanted: Wanted, plan: Plan, *, num_workers: int) -> str:
    """The plan as text, with an estimate of the time that it takes."""
    states = Standing(suite=wanted.suite, plan=plan).states()
    left = [step for step in plan.steps if states[step.run_id] != "done"]
    estimates = estimate_all(left, wanted.suite.records(wanted.task))
    return plan_text(plan, states, estimates, num_workers=num_workers)


def reproduce(
    wanted: Wanted,
    plan: Plan,
    *,
    num_workers: int,
    launcher: LauncherName = "local",
    options: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Carry out what is left of a plan; what became of each run.

    One local worker is this very process. Raises BenchError before anything begins where the data
    are missing, and KeyboardInterrupt after Ctrl-C, when every worker has ended.
    """
    standing = Standing(suite=wanted.suite, plan=plan)
    left = [step for step in plan.steps if standing.state(step) != "done"]
    if not left:
        return []
    check_data(left)
    num_workers = min(num_workers, len(left))
    session = open_session(wanted.suite.folder / "artifacts", wanted.task)
    is_here = num_workers == 1 and launcher == "local" and not options
    style: Style = "live" if is_here and sys.stderr.isatty() else "plain"
    task = wanted.shared(plan, session, style)
    if is_here:
        return list(carry_out_here(task).values())
    outcomes = carry_out_with(
        make_launcher(launcher, options),
        task,
        lambda number: wanted.worker_command(session, number),
        num_workers=num_workers,
        environment=thread_variables(num_workers) if launcher == "local" else {},
    )
    return list(outcomes.values())


def join(wanted: Wanted, session: Path, number: int) -> None:
    """Be one of the workers of a call."""
    task = wanted.shared(wanted.plan(), Session(session), "plain")

    def say(step: Step) -> None:
        print(begun_line(step), file=sys.stderr, flush=True)

    work(task, worker=f"worker-{number}", begun=say)


def selected_table(wanted: Wanted, plan: Plan) -> Table:
    """The table of the task, of the planned rows alone where some were selected."""
    table = task_table(wanted.suite, wanted.task)
    if not wanted.patterns:
        return table
    labels = {row.row.label for row in plan.rows}
    blocks = [[row for row in block if row.label in labels] for block in table.blocks]
    return replace(table, blocks=[block for block in blocks if block])


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for each run that failed."""
    return [f"{o.run_id} failed: {o.reason}" for o in outcomes if o.status == "failed"]
