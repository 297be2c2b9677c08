"""Records as files: CSV by the standard library, Parquet by the extra `export`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError
from bench.core.record import write_atomically
from bench.export.schema import Entry, Field

NAME = "records"
_COLUMNS = {
    "text": "string",
    "integer": "int64",
    "number": "float64",
    "flag": "bool_",
    "json": "string",
}
"""Kind -> the type of the column in Parquet, as pyarrow calls it."""


def write_csv(folder: Path, fields: Sequence[Field], entries: Sequence[Entry]) -> Path:
    """`records.csv`: null is an empty cell, a flag `true` or `false`."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([field.name for field in fields])
    writer.writerows([_cell(field.value(entry)) for field in fields] for entry in entries)
    path = folder / f"{NAME}.csv"
    write_atomically(path, file.getvalue().encode())
    return path


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def write_parquet(folder: Path, fields: Sequence[Field], entries: Sequence[Entry]) -> Path:
    """`records.parquet`: each column carries its meaning as `description`."""
    try:
        arrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise BenchError(
            "Parquet needs pyarrow: pip install 'sequence-bench[export]', or give --format csv"
        ) from None
    schema = arrow.schema(
        [
            arrow.field(
                field.name,
                getattr(arrow, _COLUMNS[field.kind])(),
                metadata={"description": field.meaning},
            )
            for field in fields
        ]
    )
    columns = [[field.value(entry) for entry in entries] for field in fields]
    arrays = [
        arrow.array(column, type=kind) for column, kind in zip(columns, schema.types, strict=True)
    ]
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_arrays(arrays, schema=schema), buffer, compression="zstd")
    path = folder / f"{NAME}.parquet"
    write_atomically(path, buffer.getvalue())
    return path


def schema_text(fields: Sequence[Field], *, num_records: int) -> str:
    """`records.md`: the columns, their types and what they mean."""
    lines = [
        "# Records",
        "",
        f"{num_records:,} records, one a line, the same columns in `{NAME}.parquet` and "
        f"`{NAME}.csv`. `json` is text that holds a tree or a list. In CSV null is an empty cell.",
        "",
        "| column | type | meaning |",
        "| --- | --- | --- |",
        *(f"| `{field.name}` | {field.kind} | {field.meaning} |" for field in fields),
    ]
    return "\n".join(lines) + "\n"
