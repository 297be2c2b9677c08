"""What is wrong with a corpus in one line, and what is done about it: refuse, or skip when told."""

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
NUM_SHOWN = 3


class Fault(Protocol):
    """One thing that cannot be used; as text it begins with its kind."""

    @property
    def kind(self) -> str:
        """What is wrong with it, in a word or two."""
        ...


def kinds(problems: Sequence[Fault]) -> dict[str, int]:
    """How many of each kind, the commonest first."""
    return dict(Counter(problem.kind for problem in problems).most_common())


def summary(problems: Sequence[Fault], *, thing: str) -> str:
    """How many of which kind, and the first few by name, in one line; `thing` in the singular."""
    counted = ", ".join(f"{number:,} {kind}" for kind, number in kinds(problems).items())
    shown = "; ".join(map(str, problems[:NUM_SHOWN]))
    more = f"; and {len(problems) - NUM_SHOWN:,} more" if len(problems) > NUM_SHOWN else ""
    plural = "s" if len(problems) > 1 else ""
    return f"{len(problems):,} bad {thing}{plural} ({counted}): {shown}{more}"


def settle(problems: Sequence[Fault], on_bad: OnBad, *, task: str, thing: str) -> None:
    """Refuse the corpus for what is bad in it, in one line; with `skip` that is left out."""
    if problems and on_bad == "refuse":
        raise BenchError(
            f"{task}: {summary(problems, thing=thing)}; put the original files in their place, or "
            "leave what is bad out with --data.on-bad skip"
        )


def report_skipped(problems: Sequence[Fault], *, task: str, thing: str, style: Style) -> None:
    """Say on stderr what was left out of a corpus."""
    if problems and style != "quiet":
        print(f"{task}: left out {summary(problems, thing=thing)}", file=sys.stderr, flush=True)


# What is seen while features are made: a bar on a terminal, a line a quarter elsewhere.


Progress = Callable[[int, int], None]
"""Called with (units so far, units in all)."""
Style = Literal["live", "plain", "quiet"]
NUM_LINES = 4


def own_style() -> Style:
    """A bar where stderr is a terminal, lines elsewhere."""
    return "live" if sys.stderr.isatty() else "plain"


@contextmanager
def shown(what: str, style: Style) -> Iterator[Progress]:
    """Yield what is told how many things are done of how many; silent until it is called.

    So features that are in the cache already show nothing.
    """
    if style != "live":
        yield _Lines(what) if style == "plain" else _nothing
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
        self._told = 0

    def __call__(self, done: int, total: int) -> None:
        part = NUM_LINES * done // total
        if part > self._told:
            self._told = part
            print(f"{self.what}: {done:,} of {total:,}", file=sys.stderr, flush=True)


def _nothing(done: int, total: int) -> None:
    pass
