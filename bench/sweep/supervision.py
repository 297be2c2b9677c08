"""Starts the workers of a sweep, shows how it stands, and writes what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from optuna.exceptions import StorageInternalError
from rich.console import Console
from rich.live import Live
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.launch.launcher import Launcher
from bench.launch.watch import EXIT_BAD_INPUT, WorkerExit, last_line, watch
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of
from bench.sweep.definition import Sweep
from bench.sweep.display import ended as ended_line
from bench.sweep.display import progress
from bench.sweep.outcome import export, read_result
from bench.sweep.space import tree_of
from bench.sweep.status import State, read_state
from bench.sweep.study import SPENT, Studies

LOOK_SEC = 1.0
MAX_RESTARTS = 50

Style = Literal["live", "plain", "quiet"]


def supervise(
    studies: Studies,
    suite: Suite,
    launcher: Launcher,
    command_for: Callable[[int], Sequence[str]],
    num_workers: int,
    *,
    environment: Mapping[str, str],
    style: Style,
) -> State:
    """Run workers until the sweep is done; how it stands then.

    Raises BenchError when they ended before it was done, and KeyboardInterrupt on Ctrl-C, when
    they have given their trials back.
    """
    view = View(studies, style)
    try:
        endings = watch(
            launcher,
            command_for,
            num_workers,
            environment=environment,
            logs=logs_folder(suite, studies.sweep.name),
            on_tick=view.look,
            is_done=lambda: view.state is not None and view.state.is_done,
            max_restarts=MAX_RESTARTS,
            on_event=view.say,
        )
    finally:
        view.close()
    state = read_state(studies)
    if not state.is_done:
        raise BenchError(_why_not_done(studies.sweep.name, endings))
    return state


def logs_folder(suite: Suite, sweep_name: str) -> Path:
    """Where the workers of a sweep leave what they say."""
    return suite.folder / "artifacts" / "sweeps" / sweep_name


def write_outcome(state: State, suite: Suite) -> list[Path]:
    """Write the sweep's result, its tables and, where matplotlib is, its pictures."""
    sweep = state.studies.sweep
    repeats = {
        model: [run for seen in part if seen.result.status in SPENT for run in seen.result.run_ids]
        for model, part in state.repeats.items()
    }
    trials = [result for model in sweep.models for result in state.results(model)]
    path = export(suite, sweep, trials, repeats={m: runs for m, runs in repeats.items() if runs})
    paths = [path, path.with_suffix(".md")]
    try:
        from bench.sweep.report import draw_sweep

        paths += draw_sweep(read_result(path), path.parent)
    except BenchError as error:
        print(f"no pictures: {error}", file=sys.stderr)
    return paths


def _why_not_done(name: str, endings: Sequence[WorkerExit]) -> str:
    """What the first worker that ended badly said."""
    bad = [end for end in endings if end.exit_code]
    refused = [end for end in bad if end.exit_code == EXIT_BAD_INPUT]
    if refused:
        return last_line(refused[0].log).removeprefix("bench: ")
    where = f", see {bad[0].log}" if bad else ""
    return f"the workers of {name} ended before it was done{where}; the same command goes on"


class View:
    """What the user sees of a sweep: lines redrawn in place, or one for each trial that ends."""

    def __init__(self, studies: Studies, style: Style) -> None:
        self.studies, self.style = studies, style
        self.state: State | None = None
        self._looked_sec = -LOOK_SEC
        self._told: set[tuple[str, int]] | None = None
        self._console = Console(stderr=True)
        self._live: Live | None = None
        if style == "live":
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def look(self) -> None:
        """Read how the sweep stands, once a second at the most, and show it."""
        if time.monotonic() - self._looked_sec < LOOK_SEC:
            return
        try:
            self.state = read_state(self.studies)
        except (StorageInternalError, SQLAlchemyError):
            return  # the workers go on, and the next look may succeed
        finally:
            self._looked_sec = time.monotonic()
        if self._live is not None:
            lines = Text("\n".join(progress(self.state)), no_wrap=True, overflow="ellipsis")
            self._live.update(lines)
        self._tell_ended(self.state)

    def say(self, line: str) -> None:
        """One line that stays."""
        if self.style == "live":
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        elif self.style == "plain":
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Show nothing any more."""
        if self._live is not None:
            self._live.stop()

    def _tell_ended(self, state: State) -> None:
        """A line for each trial that has ended since the last look."""
        over = {
            (model, result.number): result
            for model in self.studies.sweep.models
            for result in state.results(model)
            if result.status in SPENT or result.status == "failed"
        }
        for key, result in over.items():
            if self._told is not None and key not in self._told:
                self.say(ended_line(result))
        self._told = set(over)


# What is checked before the first worker starts.


def check_corpora(sweep: Sweep, suite: Suite, *, style: Style) -> None:
    """Find, verify and prepare the corpus of a sweep once, fetching it where that is asked for.

    Raises BenchError where files are missing or altered: before any trial fails for it.
    """
    overrides = tree_of(sweep.fixed)
    corpus_of(resolve(suite, sweep.task, model=sweep.models[0], overrides=overrides), style=style)
