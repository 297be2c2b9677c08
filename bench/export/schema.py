"""Columns of an export, and its files: Parquet, CSV and a description."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.core.config import dotted
from bench.core.errors import BenchError
from bench.core.record import Record, Shelf, write_atomically

Kind = Literal["text", "integer", "number", "flag", "json"]
NAME = "records"
_PARQUET_TYPES = {
    "text": "string",
    "integer": "int64",
    "number": "float64",
    "flag": "bool_",
    "json": "string",
}
"""Kind -> pyarrow type of the column in Parquet."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line: a record and its shelf."""

    shelf: Shelf
    record: Record


@dataclass(frozen=True, kw_only=True)
class Field:
    """One column."""

    name: str
    kind: Kind
    meaning: str
    read: Callable[[Entry], Any]

    def value(self, entry: Entry) -> Any:
        """Value of the column: a scalar, JSON as text, or None."""
        found = self.read(entry)
        if found is None or self.kind != "json":
            return found
        return json.dumps(msgspec.to_builtins(found), ensure_ascii=False)


def all_fields(records: Sequence[Record]) -> list[Field]:
    """Fixed columns, then one for each setting that any of `records` has."""
    values: dict[str, list[Any]] = {}
    for record in records:
        for key, value in dotted(record.config).items():
            values.setdefault(key, []).append(value)
    settings = sorted(values.keys() - {"task", "seed"})
    return [*_FIXED, *(_setting(key, _narrowest_kind(values[key])) for key in settings)]


def _field(name: str, kind: Kind, meaning: str) -> Field:
    """Column of an attribute of the record, under its dotted path."""
    return Field(name=name, kind=kind, meaning=meaning, read=attrgetter(f"record.{name}"))


def _metric(split: str) -> Field:
    return Field(
        name=split,
        kind="number",
        meaning=f"Metric on the {split} split; null if the run diverged or did not read it",
        read=lambda entry: entry.record.metrics.get(split),
    )


_FIXED = (
    Field(
        name="shelf",
        kind="text",
        meaning="`runs`, or `trials` of a sweep, which never saw the test split",
        read=attrgetter("shelf"),
    ),
    _field("task", "text", "Name of the card"),
    _field("id", "text", "Name of the run: model, digest of the configuration, seed"),
    _field("model", "text", "Architecture or baseline"),
    _field("recipe", "text", "Recipe of the card that the run was resolved from"),
    _field("digest", "text", "Digest of the configuration without the seed"),
    _field("seed", "integer", "Seed"),
    _field("status", "text", "finished, diverged or pruned"),
    _field("metric", "text", "Name of the metric"),
    _field("signature", "text", "Definition of the metric's value; compare within one only"),
    _metric("valid"),
    _metric("test"),
    _field("bound", "number", "Best possible value on test, if known"),
    _field("beside", "json", "Secondary scores: signature to split to value"),
    _field("extra", "json", "Further numbers of the run"),
    _field("curve", "json", "Learning curve: a list of validations"),
    _field("divergence", "json", "Epoch and step at which the loss became NaN or infinite"),
    _field("set_by_caller", "json", "Keys of the settings chosen by the caller"),
    _field("data", "json", "Corpus file to SHA-256"),
    _field("card_version", "integer", "Version of the card"),
    _field("started", "text", "UTC"),
    _field("finished", "text", "UTC"),
    _field("cost.num_parameters", "integer", "Parameters"),
    _field("cost.unit", "text", "Unit that the next figures count as a token"),
    _field("cost.flops_per_token", "integer", "Forward and backward products, by formula"),
    _field("cost.counted_flops_per_token", "integer", "The same, counted over a few batches"),
    _field("cost.flops", "integer", "By formula over all training"),
    _field("cost.seconds", "number", "Training and validation"),
    _field("cost.seconds_by_point", "json", "Seconds elapsed at each validation"),
    _field("cost.tokens_per_sec", "number", "Training tokens over training seconds"),
    _field("cost.limit_flops_per_sec", "number", "Rate reached by the machine's matrix products"),
    _field("cost.share_of_limit", "number", "Training FLOPs per second, as a share of that"),
    _field("cost.peak_memory_bytes", "integer", "Peak memory"),
    _field("cost.energy_joules", "number", "Machine's, in `cost.seconds`; null if unreadable"),
    _field("cost.energy_source", "text", "Counters read: RAPL, NVML"),
    _field("provenance.commit", "text", "Commit of the code"),
    _field("provenance.dirty", "flag", "True if the code differed from it"),
    _field("provenance.python", "text", "Version of Python"),
    _field("provenance.platform", "text", "Operating system and architecture"),
    _field("provenance.products", "text", "Precision of the matrix products in effect"),
    _field("provenance.packages", "json", "Package to version"),
    _field("provenance.hardware", "json", "Processor, cores, threads, memory, GPU"),
)


def _setting(key: str, kind: Kind) -> Field:
    def read(entry: Entry) -> Any:
        value: Any = entry.record.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if kind != "text" or value is None or isinstance(value, str):
            return value
        return json.dumps(value)

    meaning = "Setting; null if not set or added after the record was written"
    return Field(name=f"config.{key}", kind=kind, meaning=meaning, read=read)


def _narrowest_kind(values: Iterable[Any]) -> Kind:
    """Narrowest kind that holds all values; text if they have nothing in common."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "flag"
    if kinds == {int}:
        return "integer"
    return "number" if kinds and kinds <= {int, float} else "text"


def write_csv(folder: Path, fields: Sequence[Field], entries: Sequence[Entry]) -> Path:
    """Write `records.csv`: null is an empty cell, a flag `true` or `false`."""
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
    """Write `records.parquet`: each column has its meaning as `description`.

    Raises BenchError without pyarrow, which the extra `export` installs.
    """
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
                getattr(arrow, _PARQUET_TYPES[field.kind])(),
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
    """Content of `records.md`: the columns, their types and meanings."""
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
