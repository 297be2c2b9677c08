"""Runs the workers of a sweep, displays its state, and writes its result."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.launch.launcher import Launcher
from bench.launch.watch import EXIT_BAD_INPUT, WatchedWorker, last_line, watch
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of
from bench.sweep.definition import Sweep
from bench.sweep.display import ended_line, progress
from bench.sweep.outcome import summarise, write_result
from bench.sweep.report import draw_sweep
from bench.sweep.space import tree_of
from bench.sweep.status import SweepState, read_state
from bench.sweep.storage import away_line, is_unreachable
from bench.sweep.study import Studies
from bench.sweep.trial import COUNTED
from bench.training.progress import Style

REFRESH_SEC = 1.0
MAX_RESTARTS = 50


def check_corpus(sweep: Sweep, suite: Suite, *, style: Style) -> None:
    """Find, verify and prepare the corpus once, before the first worker starts.

    Downloads what the settings allow. Raises BenchError for missing or altered files.
    """
    overrides = tree_of(sweep.fixed)
    corpus_of(resolve(suite, sweep.task, model=sweep.models[0], overrides=overrides), style=style)


def supervise(
    studies: Studies,
    suite: Suite,
    launcher: Launcher,
    command_for: Callable[[int], Sequence[str]],
    num_workers: int,
    *,
    environment: Mapping[str, str],
    style: Style,
) -> SweepState:
    """Run workers until the sweep is done; return its final state.

    Raises BenchError if they ended too early, and KeyboardInterrupt on Ctrl-C, after they have
    released their trials.
    """
    name = studies.sweep.name
    view = _View(studies, style)
    try:
        workers = watch(
            launcher,
            command_for,
            num_workers,
            environment=environment,
            logs=suite.folder / "artifacts" / "sweeps" / name,
            on_tick=view.refresh,
            is_done=lambda: view.state is not None and view.state.is_done,
            max_restarts=MAX_RESTARTS,
            on_event=view.print_line,
            progress=lambda: view.num_ended,
        )
    finally:
        view.close()
    state = studies.storage.retry(lambda: read_state(studies))
    if not state.is_done:
        raise BenchError(_failure(name, workers))
    return state


def _failure(name: str, workers: Sequence[WatchedWorker]) -> str:
    """Message of the first worker that refused its input, else the log of the first failure."""
    failed = [worker for worker in workers if worker.exit_code]
    refused = [worker for worker in failed if worker.exit_code == EXIT_BAD_INPUT]
    if refused:
        return last_line(refused[0].log).removeprefix("bench: ")
    where = f", see {failed[0].log}" if failed else ""
    return f"the workers of {name} ended before it was done{where}; run the same command to resume"


def write_outcome(state: SweepState, suite: Suite) -> list[Path]:
    """Write the sweep's result, tables and, with matplotlib, figures; return their paths."""
    studies = state.studies
    repeats = {
        model: [run_id for t in group if t.result.status in COUNTED for run_id in t.result.run_ids]
        for model, group in state.repeats.items()
    }
    result = summarise(
        studies.sweep,
        studies.card,
        [result for model in studies.sweep.models for result in state.results(model)],
        repeats={model: run_ids for model, run_ids in repeats.items() if run_ids},
    )
    path = write_result(result, suite)
    paths = [path, path.with_suffix(".md")]
    try:
        paths += draw_sweep(result, path.parent)
    except BenchError as error:
        print(f"no pictures: {error}", file=sys.stderr)
    return paths


class _View:
    """Display of a running sweep: lines redrawn in place, or one for each trial that ends."""

    def __init__(self, studies: Studies, style: Style) -> None:
        self.studies, self.style = studies, style
        self.state: SweepState | None = None
        self._refreshed_sec = -REFRESH_SEC
        self._ended: set[tuple[str, int]] | None = None
        self._away_sec: float | None = None
        """Time since which the storage is out of reach."""
        self._console = Console(stderr=True)
        self._live: Live | None = None
        if style == "live":
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def refresh(self) -> None:
        """Read and show the state, at most once a second."""
        if time.monotonic() - self._refreshed_sec < REFRESH_SEC:
            return
        try:
            self.state = read_state(self.studies)
        except Exception as error:
            if not is_unreachable(error):
                raise
            self._wait(error)
            return
        finally:
            self._refreshed_sec = time.monotonic()
        if self._away_sec is not None:
            away_sec, self._away_sec = time.monotonic() - self._away_sec, None
            self.print_line(f"the storage is back after {away_sec:.0f} s")
        if self._live is not None:
            lines = Text("\n".join(progress(self.state)), no_wrap=True, overflow="ellipsis")
            self._live.update(lines)
        self._print_ended(self.state)

    @property
    def num_ended(self) -> int:
        """Trials that have ended."""
        return len(self._ended or ())

    def _wait(self, error: Exception) -> None:
        """Wait for the storage beside the workers, which do so, too, up to the same limit."""
        storage = self.studies.storage
        storage.reset()
        if self._away_sec is None:
            self._away_sec = time.monotonic()
            self.print_line(away_line(error, storage.timeout_sec))

    def print_line(self, line: str) -> None:
        """Print one permanent line."""
        if self.style == "live":
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        elif self.style == "plain":
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _print_ended(self, state: SweepState) -> None:
        """Print a line for each trial that has ended since the last refresh."""
        ended = {
            (model, result.number): result
            for model in self.studies.sweep.models
            for result in state.results(model)
            if result.status in COUNTED or result.status == "failed"
        }
        for key, result in ended.items():
            if self._ended is not None and key not in self._ended:
                self.print_line(ended_line(result))
        self._ended = set(ended)
