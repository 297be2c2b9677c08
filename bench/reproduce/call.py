"""One call of `bench reproduce`: its options, its workers and its output."""

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
from bench.reproduce.carry_out import Job, run_in_process, run_with_workers, work
from bench.reproduce.estimate import estimate_all, plan_text, start_line
from bench.reproduce.plan import Plan, make_plan
from bench.reproduce.session import Outcome, Session, open_session
from bench.runs.run import RunOptions, corpus_of
from bench.table import Table, task_table
from bench.tracking.options import DEFAULTS, Kind, TrackOptions
from bench.training.progress import Style


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions:
    """Options of a call, shared by its workers."""

    suite: Suite
    task: str
    patterns: tuple[str, ...] = ()
    num_seeds: int = 3
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Data and trainer settings, as text."""
    track: Kind = "none"
    tracking: TrackOptions = DEFAULTS

    def plan(self) -> Plan:
        """Plan the runs; BenchError if no published row matches."""
        card = self.suite.card(self.task)
        published = load_published(self.suite, self.task)
        if not published:
            raise BenchError(f"task {self.task!r} has no published rows: nothing to reproduce")
        rows = select_rows(card, published, self.patterns)
        return make_plan(
            self.suite, self.task, rows, num_seeds=self.num_seeds, settings=self.settings
        )

    def worker_command(self, session: Session, number: int) -> list[str]:
        """Command line of one worker."""
        words: list[object] = ["reproduce", self.task, "--seeds", self.num_seeds]
        for pattern in self.patterns:
            words += ["--rows", pattern]
        for key, value in dotted(self.settings).items():
            words += [f"--{key}", value]
        words += ["--track", self.track, *self.tracking.words()]
        words += ["--suite", self.suite.folder.resolve()]
        words += ["--as-worker", number, "--session", session.folder.resolve()]
        return bench_command(*words)

    def job(self, plan: Plan, session: Session, style: Style) -> Job:
        """Job of the workers."""
        group = f"reproduce-{self.task}"
        run_options = RunOptions(style=style, track=self.track, tracking=self.tracking, group=group)
        return Job(plan=plan, session=session, run_options=run_options)


def plan_and_time(options: ReproduceOptions, plan: Plan, *, num_workers: int) -> str:
    """Text of the plan with an estimate of its duration."""
    states = plan.states()
    unfinished = [step for step in plan.steps if states[step.run_id] != "done"]
    estimates = estimate_all(unfinished, options.suite.records(options.task))
    return plan_text(plan, states, estimates, num_workers=num_workers)


def reproduce(
    options: ReproduceOptions,
    plan: Plan,
    *,
    num_workers: int,
    launcher: LauncherName = "local",
    launcher_options: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Carry out the unfinished runs of a plan; return their outcomes.

    One local worker is this very process. Raises BenchError before the first run if data are
    missing, and KeyboardInterrupt after Ctrl-C, when every worker has ended.
    """
    unfinished = [step for step in plan.steps if plan.state(step) != "done"]
    if not unfinished:
        return []
    corpus_of(unfinished[0].resolved, style="plain")  # checks the data, which all runs share
    num_workers = min(num_workers, len(unfinished))
    session = open_session(options.suite.folder / "artifacts", options.task)
    is_in_process = num_workers == 1 and launcher == "local" and not launcher_options
    style: Style = "live" if is_in_process and sys.stderr.isatty() else "plain"
    job = options.job(plan, session, style)
    if is_in_process:
        return list(run_in_process(job).values())
    outcomes = run_with_workers(
        make_launcher(launcher, launcher_options),
        job,
        lambda number: options.worker_command(session, number),
        num_workers=num_workers,
        environment=thread_variables(num_workers) if launcher == "local" else {},
    )
    return list(outcomes.values())


def run_worker(options: ReproduceOptions, session: Path, number: int) -> None:
    """Run one of the workers of a call."""
    work(
        options.job(options.plan(), Session(session), "plain"),
        worker=f"worker-{number}",
        on_start=lambda step: print(start_line(step), file=sys.stderr, flush=True),
    )


def selected_table(options: ReproduceOptions, plan: Plan) -> Table:
    """Table of the task, restricted to the planned rows if rows were selected."""
    table = task_table(options.suite, options.task)
    if not options.patterns:
        return table
    labels = {row.row.label for row in plan.rows}
    blocks = [[row for row in block if row.label in labels] for block in table.blocks]
    return replace(table, blocks=[block for block in blocks if block])


def failure_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Line for each run that failed."""
    return [f"{o.run_id} failed: {o.reason}" for o in outcomes if o.status == "failed"]


def select_rows(
    card: Card, rows: Sequence[PublishedRow], patterns: Sequence[str]
) -> list[PublishedRow]:
    """Rows that match any pattern, in their order; all rows without a pattern.

    A pattern such as `scrn*` is compared, ignoring case, with a row's label, model and recipe.
    Raises BenchError for one that matches nothing, with the nearest names.
    """
    names = [_row_names(card, row) for row in rows]
    for pattern in patterns:
        if not any(_matches(pattern, found) for found in names):
            hint = _nearest(pattern, names)
            raise BenchError(f"--rows {pattern!r} matches no published row of {card.task}{hint}")
    return [
        row
        for row, found in zip(rows, names, strict=True)
        if not patterns or any(_matches(pattern, found) for pattern in patterns)
    ]


def _row_names(card: Card, row: PublishedRow) -> list[str]:
    model = str(row.match["model.name"]) if row.match else None
    recipe = row.recipe or (model if model in card.recipes else None)
    return [name for name in (row.label, model, recipe) if name]


def _matches(pattern: str, names: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for name in names)


def _nearest(pattern: str, names: Sequence[Sequence[str]]) -> str:
    known = {name.lower(): name for found in names for name in found}
    close = difflib.get_close_matches(pattern.lower().strip("*?"), known, n=3, cutoff=0.4)
    hint = " or ".join(repr(known[name]) for name in close)
    return f", did you mean {hint}?" if hint else ": its labels are those of `bench table`"
