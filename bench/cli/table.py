"""`bench table`: published beside measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli.output import Format, chosen_format, put, terminal_width


def table(
    task: str | None = None,
    *,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    cost: Annotated[bool, Parameter(negative=())] = False,
    measured: Annotated[bool, Parameter(negative=())] = False,
    format: Format | None = None,
    out: Path | None = None,
    suite: Path = Path(),
) -> None:
    """Print a task's published rows beside what was measured.

    Each row carries its difference to the paper, a verdict, and where the published number was
    read; runs with another signature stand in a table of their own.

        bench table ptb
        bench table ptb --format latex --out ptb.tex

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    all_
        Write `results/<task>/table.md` of every task that has rows, and the tables that README.md
        has marks for.
    measured
        Leave out the published rows that nothing has measured yet.
    cost
        Add parameters, seconds, tokens/s and memory.
    format
        text on a terminal and md elsewhere, unless given.
    out
        Write to this file instead of printing.
    suite
        Folder with further `tasks/` and with `results/`.
    """
    from bench.errors import BenchError
    from bench.suite import Suite
    from bench.table import measured_rows, render, task_table, write_tables
    from bench.table.embed import refresh

    place = Suite.at(suite)
    if all_:
        for card in place.cards():
            if place.published_path(card.task) or place.records(card.task):
                print(write_tables(place, card.task))
        readme = suite / "README.md"
        if readme.is_file():
            refresh(readme, place)
        return
    if task is None:
        raise BenchError("name a task, as in `bench table ptb`, or write all tables with --all")
    chosen = chosen_format(format, out)
    whole = task_table(place, task)
    content = render(
        measured_rows(whole) if measured else whole,
        chosen,
        cost="shown" if cost else "hidden",
        width=terminal_width(chosen),
    )
    put(content, out)
