"""The columns of an export: what each is called, holds and means."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.core.config import dotted
from bench.core.errors import BenchError
from bench.core.record import Record, Shelf, write_atomically

Kind = Literal["text", "integer", "number", "flag", "json"]
CONFIG = "config."


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line: a record and where it lay."""

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
        """What stands in the column: a scalar, JSON as text, or None."""
        found = self.read(entry)
        return None if found is None else _as_json(found) if self.kind == "json" else found


def all_fields(records: Sequence[Record]) -> list[Field]:
    """The fixed columns, then one for each setting that any of `records` has."""
    return [*_FIXED, *_settings(records)]


def _as_json(tree: Any) -> str:
    return json.dumps(msgspec.to_builtins(tree), ensure_ascii=False)


def _of(name: str, kind: Kind, meaning: str) -> Field:
    """A field of the record itself."""
    return Field(
        name=name, kind=kind, meaning=meaning, read=lambda entry: getattr(entry.record, name)
    )


def _metric(split: str) -> Field:
    return Field(
        name=split,
        kind="number",
        meaning=f"The metric on the {split} split; null where the run diverged or did not read it",
        read=lambda entry: entry.record.metrics.get(split),
    )


def _cost(name: str, kind: Kind, meaning: str) -> Field:
    return Field(
        name=f"cost.{name}",
        kind=kind,
        meaning=meaning,
        read=lambda entry: getattr(entry.record.cost, name),
    )


def _provenance(name: str, kind: Kind, meaning: str) -> Field:
    return Field(
        name=f"provenance.{name}",
        kind=kind,
        meaning=meaning,
        read=lambda entry: getattr(entry.record.provenance, name),
    )


_FIXED = (
    Field(
        name="shelf",
        kind="text",
        meaning="`runs`, or `trials` of a sweep, which never saw the test split",
        read=lambda entry: entry.shelf,
    ),
    _of("task", "text", "Name of the card"),
    _of("id", "text", "Name of the run: model, digest of the configuration, seed"),
    _of("model", "text", "Architecture or baseline"),
    _of("recipe", "text", "Recipe of the card that it was resolved from"),
    _of("digest", "text", "Names the configuration whatever the seed"),
    _of("seed", "integer", "Seed"),
    _of("status", "text", "finished, diverged or pruned"),
    _of("metric", "text", "Name of the metric"),
    _of("signature", "text", "What exactly the metric's value is; compare within one only"),
    _metric("valid"),
    _metric("test"),
    _of("bound", "number", "The best possible value on test, where it is known"),
    _of("beside", "json", "Signature to split to value of what is reported beside the metric"),
    _of("extra", "json", "Further numbers of the run"),
    _of("curve", "json", "The learning curve: a list of validations"),
    _of("divergence", "json", "Where the loss left the numbers"),
    _of("set_by_caller", "json", "Settings that the caller chose"),
    _of("data", "json", "Corpus file to SHA-256"),
    _of("card_version", "integer", "Version of the card"),
    _of("started", "text", "UTC"),
    _of("finished", "text", "UTC"),
    _cost("num_parameters", "integer", "Parameters"),
    _cost("unit", "text", "What the next figures call a token"),
    _cost("flops_per_token", "integer", "Forward and backward products, by formula"),
    _cost("counted_flops_per_token", "integer", "The same, counted over a few batches"),
    _cost("flops", "integer", "By formula over all training"),
    _cost("seconds", "number", "Training and validation"),
    _cost("seconds_by_point", "json", "Seconds that had gone by at each validation"),
    _cost("tokens_per_sec", "number", "Training tokens over training seconds"),
    _cost("limit_flops_per_sec", "number", "What the machine's matrix products reached"),
    _cost("share_of_limit", "number", "Training's FLOPs by formula a second, as a share of that"),
    _cost("peak_memory_bytes", "integer", "Most memory held"),
    _cost("energy_joules", "number", "Of the machine during `cost.seconds`; null if unreadable"),
    _cost("energy_source", "text", "Counters read: RAPL, NVML"),
    _provenance("commit", "text", "Commit of the code"),
    _provenance("dirty", "flag", "Whether the code differed from it"),
    _provenance("python", "text", "Version of Python"),
    _provenance("platform", "text", "Operating system and architecture"),
    _provenance("products", "text", "Precision of the matrix products in effect"),
    _provenance("packages", "json", "Package to version"),
    _provenance("hardware", "json", "Processor, cores, threads, memory, GPU"),
)


def _settings(records: Sequence[Record]) -> list[Field]:
    found: dict[str, list[Any]] = {}
    for record in records:
        for key, value in dotted(record.config).items():
            found.setdefault(key, []).append(value)
    return [_setting(key, _kind(found[key])) for key in sorted(found) if key not in _ELSEWHERE]


_ELSEWHERE = frozenset(("task", "seed"))


def _setting(key: str, kind: Kind) -> Field:
    def read(entry: Entry) -> Any:
        tree: Any = entry.record.config
        for part in key.split("."):
            tree = tree.get(part) if isinstance(tree, dict) else None
        return _as_text(tree) if kind == "text" else tree

    meaning = "Setting; null where it is not set, or younger than the record"
    return Field(name=CONFIG + key, kind=kind, meaning=meaning, read=read)


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _kind(values: Iterable[Any]) -> Kind:
    """The narrowest kind that holds all values; text where they have nothing in common."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "flag"
    if kinds == {int}:
        return "integer"
    return "number" if kinds and kinds <= {int, float} else "text"


# Records as files: CSV by the standard library, Parquet by the extra `export`.


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
