"""`bench table`: published beside measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bench.cli.output import Format, chosen_format, put, terminal_width

if TYPE_CHECKING:
    from bench.core.suite import Suite
    from bench.table import Layout, Table


def table(
    task: str | None = None,
    *,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    cost: Annotated[bool, Parameter(negative=())] = False,
    target: float | None = None,
    measured: Annotated[bool, Parameter(negative=())] = False,
    published: Annotated[bool, Parameter(negative=())] = False,
    against: str | None = None,
    columns: str | None = None,
    group_by: str | None = None,
    decimals: int | None = None,
    spread_digits: int = 2,
    format: Format | None = None,
    out: Path | None = None,
    bib: Path | None = None,
    suite: Path = Path(),
) -> None:
    """Print a task's published rows beside what was measured.

    Each row carries its difference to the paper, a verdict, and where the published number was
    read; runs with another signature stand in a table of their own.

        bench table ptb
        bench table ptb --published --against best
        bench table ptb --columns model,published,measured,parameters,cite --group-by model
        bench table ptb --format latex --out ptb.tex --bib ptb.bib

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    all_
        Write `results/<task>/table.md` of every task that has rows, and the tables that README.md
        and docs/ have marks for.
    cost
        Add parameters, arithmetic, seconds, speed, share of the machine's limit, memory, energy.
    target
        With the cost: seconds of training until a validation was as good as this value.
    measured
        Leave out the published rows that nothing has measured yet.
    published
        Only the published rows that have been measured.
    against
        Mark the rows that differ for sure from this one, by the tests of `bench compare`: a label
        or a pattern, a run, a group, or `best`. Lost outputs are not regenerated.
    columns
        Only these, in this order: model, published, measured, n, diverged, difference,
        gap-to-bound, a score beside the metric (`bleu-4`), verdict, protocol, source; of the cost
        parameters, arithmetic, counted, flops, seconds, speed, limit, memory, energy, target; and
        cite or any setting (`optim.lr`). In csv and json the keys of these formats.
    group_by
        model, source, verdict or a setting such as `optim.name`: rows that share it stand together.
    decimals
        The same for all measured numbers, instead of as many as the spread allows.
    spread_digits
        Significant digits of the spread.
    format
        text on a terminal and md elsewhere, unless given; latex needs the package booktabs.
    out
        Write to this file instead of printing.
    bib
        Write the cited entries of results/references.bib to this file.
    suite
        Folder with further `tasks/` and with `results/`.
    """
    from bench.core.errors import BenchError
    from bench.core.suite import Suite
    from bench.table import measured_rows, published_rows, render, task_table

    place = Suite.at(suite)
    if all_:
        _write_all(place, [suite / "README.md", *sorted(suite.glob("docs/**/*.md"))])
        return
    if task is None:
        raise BenchError("name a task, as in `bench table ptb`, or write all tables with --all")
    layout = _layout(columns, group_by, decimals, spread_digits)
    chosen = chosen_format(format, out)
    shown = task_table(place, task, target=target)
    if measured:
        shown = measured_rows(shown)
    if published:
        shown = published_rows(shown)
    if against is not None:
        shown = _add_significance(place, shown, against)
    content = render(
        shown,
        chosen,
        cost="shown" if cost or (target is not None and columns is None) else "hidden",
        layout=layout,
        width=terminal_width(chosen),
    )
    if bib is not None:
        _write_bibliography(place, shown, bib)
    put(content, out)


def _layout(
    columns: str | None, group_by: str | None, decimals: int | None, spread_digits: int
) -> Layout:
    from bench.core.errors import BenchError
    from bench.table import Layout, Rounding

    if decimals is not None and not 0 <= decimals <= 12:
        raise BenchError(f"--decimals {decimals}: give 0 to 12")
    if not 1 <= spread_digits <= 6:
        raise BenchError(f"--spread-digits {spread_digits}: give 1 to 6")
    names = [] if columns is None else [name.strip().casefold() for name in columns.split(",")]
    return Layout(
        columns=tuple(name for name in names if name),
        group_by=group_by,
        rounding=Rounding(decimals=decimals, spread_digits=spread_digits),
    )


def _write_all(place: Suite, documents: Sequence[Path]) -> None:
    from bench.table import write_table
    from bench.table.embed import update_tables

    for card in place.cards():
        if place.published_path(card.task) or place.records(card.task):
            print(write_table(place, card.task))
    for document in documents:
        if document.is_file():
            update_tables(document, place)


def _add_significance(place: Suite, table: Table, name: str) -> Table:
    from bench.compare.against import add_significance  # scipy is loaded only where it is needed

    return add_significance(place, table, name)


def _write_bibliography(place: Suite, table: Table, path: Path) -> None:
    from bench.table.embed import bibliography

    put(bibliography(place, table), path, option="--bib")
