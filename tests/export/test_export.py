"""Export of records: the meaning of every column, equal cells in both formats."""

from __future__ import annotations

import csv
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from record_tree import write_tree
from synthetic_records import make_record

from bench.core.errors import BenchError
from bench.core.record import Cost, Provenance, Record, write_record
from bench.core.suite import Suite
from bench.export import export
from bench.export.schema import Entry, all_fields

parquet: Any = import_module("pyarrow.parquet")
TASKS = ("first", "second")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """Two tasks of seven runs each, one of them diverged, and a trial."""
    suite = write_tree(tmp_path_factory.mktemp("tree"), 6, tasks=TASKS)
    for task in TASKS:
        diverged = replace(make_record(None, seed=9), task=task)
        write_record(diverged, suite.record_path(task, diverged.id).parent)
    trial = replace(make_record(115.0), task="first", metrics={"valid": 120.0}, status="pruned")
    write_record(trial, suite.record_path("first", trial.id, "trials").parent)
    return suite


@pytest.fixture(scope="module")
def files(filled: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "new"
    written = export(filled, TASKS, folder)
    assert sorted(path.name for path in written) == ["records.csv", "records.md", "records.parquet"]
    assert sorted(folder.iterdir()) == sorted(written)
    return folder


def from_csv(folder: Path) -> list[dict[str, str]]:
    with (folder / "records.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def from_parquet(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(folder / "records.parquet").to_pylist()
    return rows


def as_cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_both_formats_have_the_same_cells(files: Path) -> None:
    wanted = [{key: as_cell(value) for key, value in row.items()} for row in from_parquet(files)]
    assert from_csv(files) == wanted
    assert len(wanted) == 15


def test_every_record_is_a_line_with_its_shelf(files: Path, filled: Suite) -> None:
    rows = from_parquet(files)
    known = {(t, record.id) for t in TASKS for record in filled.records(t)}
    assert {(row["task"], row["id"]) for row in rows if row["shelf"] == "runs"} == known
    (trial,) = (row for row in rows if row["shelf"] == "trials")
    assert (trial["status"], trial["valid"], trial["test"]) == ("pruned", 120.0, None)


def test_a_line_holds_the_whole_record(files: Path, filled: Suite) -> None:
    record = next(r for r in filled.records("first") if r.metrics)
    (row,) = (r for r in from_parquet(files) if (r["task"], r["id"]) == ("first", record.id))
    assert row["test"] == record.metrics["test"]
    assert row["cost.seconds"] == record.cost.seconds
    assert row["provenance.dirty"] is False
    assert row["config.model.hidden_size"] == record.config["model"]["hidden_size"]
    assert row["config.optim.lr"] == record.config["optim"]["lr"]
    curve = json.loads(row["curve"])
    assert [point["valid"] for point in curve] == [point.valid for point in record.curve]
    assert json.loads(row["data"]) == record.data


def test_every_field_of_a_record_has_its_column() -> None:
    names = {field.name for field in all_fields([])}
    inside = {"schema", "metrics", "config", "cost", "provenance"}
    assert set(Record.__struct_fields__) - inside <= names
    assert {f"cost.{name}" for name in Cost.__struct_fields__} <= names
    assert {f"provenance.{name}" for name in Provenance.__struct_fields__} <= names


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1, 2], "integer", [1, 2]),
        ([1, 0.5], "number", [1, 0.5]),
        ([None, 3], "integer", [None, 3]),
        ([True, False], "flag", [True, False]),
        ([True, 1], "text", ["true", "1"]),
        (["3", 3], "text", ["3", "3"]),
        ([None, None], "text", [None, None]),
    ],
)
def test_a_setting_is_of_the_narrowest_kind(values: list[Any], kind: str, found: list[Any]) -> None:
    records = [make_record(1.0, model={"order": value}) for value in values]
    (field,) = (field for field in all_fields(records) if field.name == "config.model.order")
    assert field.kind == kind
    assert [field.value(Entry(shelf="runs", record=record)) for record in records] == found


def test_every_column_is_documented(files: Path) -> None:
    text = (files / "records.md").read_text()
    schema = parquet.read_schema(files / "records.parquet")
    for name in schema.names:
        meaning = schema.field(name).metadata[b"description"].decode()
        assert any(
            line.startswith(f"| `{name}` | ") and meaning in line for line in text.split("\n")
        )


def test_the_same_records_give_the_same_bytes(filled: Suite, files: Path, tmp_path: Path) -> None:
    for path in export(filled, TASKS, tmp_path):
        assert path.read_bytes() == (files / path.name).read_bytes()


def test_without_pyarrow_the_error_suggests_csv(
    filled: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BenchError, match=r"sequence-bench\[export\].*--format csv"):
        export(filled, TASKS, tmp_path)
    assert list(tmp_path.iterdir()) == []
    names = {path.name for path in export(filled, TASKS, tmp_path, format="csv")}
    assert names == {"records.csv", "records.md"}


def test_an_export_without_records_is_an_error(filled: Suite, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no records of text to export"):
        export(filled, ["text"], tmp_path)
    with pytest.raises(BenchError, match="unknown task 'frst', did you mean 'first'"):
        export(filled, ["frst"], tmp_path)
