"""Export of all records as one table: Parquet and CSV with a documented schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from bench.core.errors import BenchError
from bench.core.record import Shelf, write_atomically
from bench.core.suite import Suite
from bench.export.schema import NAME, Entry, all_fields, schema_text, write_csv, write_parquet

Format = Literal["both", "parquet", "csv"]

__all__ = ["Format", "export"]


def export(
    suite: Suite, tasks: Sequence[str], folder: Path, *, format: Format = "both"
) -> list[Path]:
    """Write the records of `tasks`, or of every task, to `folder`; returns the paths of the files.

    Runs and trials are one line each, with the same columns in both formats; `records.md` describes
    them. Raises BenchError if there are no records.
    """
    entries = [
        Entry(shelf=shelf, record=record)
        for task in tasks or suite.card_paths()
        for shelf in get_args(Shelf)
        for record in suite.records(suite.card(task).task, shelf)
    ]
    if not entries:
        of = f" of {', '.join(tasks)}" if tasks else ""
        raise BenchError(f"there are no records{of} to export: bench run first")
    fields = all_fields([entry.record for entry in entries])
    written = []
    if format != "csv":
        written.append(write_parquet(folder, fields, entries))
    if format != "parquet":
        written.append(write_csv(folder, fields, entries))
    path = folder / f"{NAME}.md"
    write_atomically(path, schema_text(fields, num_records=len(entries)).encode())
    return [*written, path]
