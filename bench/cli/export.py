"""`bench export`: all records as one table for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def export(
    *tasks: str,
    out: Path = Path("export"),
    format: Literal["both", "parquet", "csv"] = "both",
    suite: Path = Path(),
) -> None:
    """Write the records of all tasks, or of those named, as Parquet and CSV.

    One line a record, of runs and of sweeps' trials, with metrics, cost, provenance and every
    setting as a column; `records.md` beside them says what each column is.

        bench export
        bench export ptb ptb-char --out /tmp/records --format csv

    Parameters
    ----------
    tasks
        Names of cards; every task with records unless given.
    out
        Folder for `records.parquet`, `records.csv` and `records.md`; made where it is missing.
    format
        Parquet needs the extra `export`.
    suite
        Folder with further `tasks/` and with `results/`.
    """
    from bench.cli.output import writing
    from bench.core.suite import Suite
    from bench.export import export as write

    with writing("--out", out):
        for path in write(Suite.at(suite), tasks, out, format=format):
            print(path)


# `bench plot`: learning curves as a picture.


def plot(task: str, *, out: Path | None = None, suite: Path = Path()) -> None:
    """Draw the learning curves of a task's runs.

    One line for each run, and the best possible value where it is known.

        bench plot synthetic-text
        bench plot ptb --out curves.svg

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    out
        Picture to write, .png, .svg or .pdf; `artifacts/<task>/curves.png` unless given.
    suite
        Folder with further `tasks/` and with `results/`.
    """
    from bench.core.errors import BenchError
    from bench.core.figures import plot_learning_curves
    from bench.core.suite import Suite

    place = Suite(folder=suite)
    path = out or suite / "artifacts" / task / "curves.png"
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise BenchError(f"{path}: name a .png, .svg or .pdf file")
    plot_learning_curves(place.card(task), place.records(task), path)
    print(path)
