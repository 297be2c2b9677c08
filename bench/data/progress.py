"""What is seen while features are made: a bar on a terminal, a line a quarter elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from bench.speech.data.extraction import Progress

Style = Literal["live", "plain", "quiet"]
NUM_LINES = 4


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
