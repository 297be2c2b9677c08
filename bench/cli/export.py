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
