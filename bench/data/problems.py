"""Bad parts of a corpus: summarised in a line, refused or skipped. Progress of its preparation."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from bench.core.errors import BenchError

OnBad = Literal["refuse", "skip"]
Style = Literal["live", "plain", "quiet"]
Progress = Callable[[int, int], None]
"""Called with (units so far, units in all)."""
NUM_SHOWN = 3
NUM_LINES = 4


class Fault(Protocol):
    """Unusable part of a corpus; its text begins with its kind."""

    @property
    def kind(self) -> str:
        """Category, in a word or two."""


def count_kinds(problems: Sequence[Fault]) -> dict[str, int]:
    """Number of problems of each kind, the commonest first."""
    return dict(Counter(problem.kind for problem in problems).most_common())


def summary(problems: Sequence[Fault], *, thing: str) -> str:
    """Numbers by kind and the first few problems, in one line; `thing` in the singular."""
    counted = ", ".join(f"{number:,} {kind}" for kind, number in count_kinds(problems).items())
    shown = "; ".join(map(str, problems[:NUM_SHOWN]))
    more = f"; and {len(problems) - NUM_SHOWN:,} more" if len(problems) > NUM_SHOWN else ""
    plural = "s" if len(problems) > 1 else ""
    return f"{len(problems):,} bad {thing}{plural} ({counted}): {shown}{more}"


def check_problems(problems: Sequence[Fault], on_bad: OnBad, *, task: str, thing: str) -> None:
    """Raise BenchError for a corpus with problems, unless they are to be skipped."""
    if problems and on_bad == "refuse":
        raise BenchError(
            f"{task}: {summary(problems, thing=thing)}; put the original files in their place, or "
            "leave what is bad out with --data.on-bad skip"
        )


def report_skipped(problems: Sequence[Fault], *, task: str, thing: str, style: Style) -> None:
    """Print a summary of the skipped parts of a corpus on stderr."""
    if problems and style != "quiet":
        print(f"{task}: left out {summary(problems, thing=thing)}", file=sys.stderr, flush=True)


def default_style() -> Style:
    """Bar where stderr is a terminal, lines elsewhere."""
    return "live" if sys.stderr.isatty() else "plain"


@contextmanager
def progress_bar(what: str, style: Style) -> Iterator[Progress]:
    """Progress as a bar (live), NUM_LINES lines (plain) or nothing (quiet).

    Nothing is shown before the first call, hence nothing for features in the cache.
    """
    if style != "live":
        yield _Lines(what) if style == "plain" else lambda _done, _total: None
        return
    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TextColumn("{task.description}"))
    bar = Bar(*columns, TimeRemainingColumn(compact=True), console=Console(stderr=True))
    task = bar.add_task(what, total=None)

    def update(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield update
    finally:
        bar.stop()


class _Lines:
    def __init__(self, what: str) -> None:
        self.what = what
        self.num_printed = 0

    def __call__(self, done: int, total: int) -> None:
        part = NUM_LINES * done // total
        if part > self.num_printed:
            self.num_printed = part
            print(f"{self.what}: {done:,} of {total:,}", file=sys.stderr, flush=True)
