"""`bench list`: what there is to run and what has been run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def list_things(
    what: Literal["tasks", "models", "runs"], *, task: str | None = None, suite: Path = Path()
) -> None:
    """List tasks, models or finished runs.

    Names are what the other commands take.

        bench list tasks
        bench list models
        bench list runs --task ptb

    Parameters
    ----------
    what
        tasks, models or runs.
    task
        Of `runs`: only those of this task.
    suite
        Folder with further `tasks/` and with `results/`.
    """
    from bench.cli.listing import models, runs, tasks
    from bench.core.suite import Suite

    place = Suite.at(suite)
    if what == "tasks":
        print(tasks(place))
    elif what == "models":
        print(models())
    else:
        print(runs(place, task))
