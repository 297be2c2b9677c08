"""`bench table`: published beside measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def table(
    task: str | None = None,
    *,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    cost: Annotated[bool, Parameter(negative=())] = False,
    format: Literal["text", "md", "latex", "csv", "json"] | None = None,
    out: Path | None = None,
    suite: Path = Path(),
) -> None:
    """Print a task's published rows beside what was measured.

        bench table ptb
        bench table ptb --format latex --out ptb.tex

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    all_
        Write results/<task>/table.md of every task that has rows.
    cost
        Add parameters, seconds, tokens/s and memory.
    format
        text on a terminal and md elsewhere, unless given.
    out
        Write to this file instead of printing.
    suite
        Folder with further `tasks/` and with `results/`.
    """
    import shutil
    import sys

    from bench.errors import BenchError
    from bench.record import write_atomically
    from bench.suite import Suite
    from bench.table import render, task_table, write_tables

    place = Suite(folder=suite)
    if all_:
        for card in place.cards():
            if place.published_path(card.task) or place.records(card.task):
                print(write_tables(place, card.task))
        return
    if task is None:
        raise BenchError("name a task, as in `bench table ptb`, or write all tables with --all")
    chosen = format or ("text" if sys.stdout.isatty() and out is None else "md")
    content = render(
        task_table(place, task),
        chosen,
        cost="shown" if cost else "hidden",
        width=shutil.get_terminal_size().columns if chosen == "text" else None,
    )
    if out is None:
        print(content, end="" if content.endswith("\n") else "\n")
    else:
        write_atomically(out, content.encode())
