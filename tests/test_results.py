"""The committed facts hold together: records, tables and documents say the same."""

from __future__ import annotations

import functools
import itertools
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import to_builtins
from msgspec.structs import asdict

from bench.core.config import RunConfig, choices, digest
from bench.core.record import Record, read_record
from bench.core.structs import to_struct
from bench.core.suite import Suite
from bench.domains import objective_class
from bench.models import MODELS, resolve_options
from bench.table import task_table, write_table
from bench.table.embed import embedded_tasks, fill_tables
from bench.text.data.specification import TextSpec

ROOT = Path(__file__).parent.parent
SUITE = Suite(folder=ROOT)
RECORDS = sorted(ROOT.glob("results/*/runs/*.json"))
TABLES = sorted(ROOT.glob("results/*/table.md"))
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
card_of = functools.cache(SUITE.card)


def test_there_are_records_and_tables() -> None:
    assert RECORDS
    assert TABLES


def check_each(check: Callable[[Record, Path], None]) -> None:
    """Hold something of every record; those that fail are named together, each with its reason."""
    failures = {}
    for record, path in read():
        try:
            check(record, path)
        except AssertionError as error:
            failures[path.stem] = str(error)
    assert failures == {}


@functools.cache
def read() -> list[tuple[Record, Path]]:
    return [(read_record(path), path) for path in RECORDS]


def test_a_record_is_what_its_place_says() -> None:
    def check(record: Record, path: Path) -> None:
        assert (record.id, record.task) == (path.stem, path.parent.parent.name)
        assert record.id.endswith(f"-{record.digest}-s{record.seed}")
        assert record.provenance.commit
        assert record.provenance.dirty is False
        assert set(record.metrics) >= {"valid", "test"} or record.status == "diverged"

    check_each(check)


def test_a_record_read_the_bytes_of_its_card() -> None:
    def check(record: Record, _: Path) -> None:
        card = card_of(record.task)
        if isinstance(card.corpus, TextSpec):
            wanted = {file.sha256 for file in card.corpus.files.values() if file.sha256}
            assert set(record.data.values()) == wanted
        assert record.card_version <= card.version

    check_each(check)


def test_the_names_of_learned_runs_follow_from_their_configurations() -> None:
    """A setting that was added or renamed would have all of them trained anew."""
    named = []
    for record, _ in read():
        if record.model in MODELS and "evaluation" not in record.config["objective"]:
            config = to_struct(record.config, RunConfig, where=record.id)
            model = asdict(resolve_options(record.model, {}))
            card = card_of(record.task)
            name = record.config["objective"].get("name", card.objective)
            objective = asdict(objective_class(card.kind, name).Options())
            defaults = to_builtins(RunConfig(task=record.task, model=model, objective=objective))
            assert digest(choices(config, defaults), record.card_version) == record.digest
            named.append(record.id)
    assert len(named) > 10


def test_no_honest_model_beats_the_bound() -> None:
    def check(record: Record, _: Path) -> None:
        if record.bound is not None and record.metrics:
            sign = {"min": 1, "max": -1}[card_of(record.task).metric.direction]
            assert sign * record.metrics["test"] > sign * record.bound

    check_each(check)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_a_table_is_what_make_tables_writes(path: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "results", tmp_path / "results")
    shutil.copytree(ROOT / "tasks", tmp_path / "tasks")
    again = write_table(Suite(folder=tmp_path), path.parent.name)
    assert path.read_text() == again.read_text(), "run `make tables`"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_shows_what_the_records_say(path: Path) -> None:
    text = path.read_text()
    tables = {task: task_table(SUITE, task) for task in embedded_tasks(text)}
    assert fill_tables(text, tables) == text, "run `make tables`"


def test_documents_show_the_tables_of_the_main_tasks() -> None:
    shown = {task for path in DOCUMENTS for task in embedded_tasks(path.read_text())}
    assert shown >= {"an4", "flickr8k", "moving-mnist", "multi30k-en-fr", "ptb", "synthetic-text"}


def test_the_precisions_shown_are_the_means_of_the_records() -> None:
    header, _, *rows = lines_from("| task, model | metric |")
    precisions = cells_of(header)[2:]
    assert precisions == ["32", "bf16-mixed", "16-mixed"]
    assert len(rows) == 5
    for row in rows:
        name, _, *cells = cells_of(row)
        for precision, cell in zip(precisions, cells, strict=True):
            values = measured_in(precision, *name.split(", "))
            decimals = len(cell.split()[0].partition(".")[2])
            mean, std = statistics.mean(values), statistics.stdev(values)
            assert cell == f"{mean:.{decimals}f} ± {std:.{decimals}f} ({len(values)})", name


def lines_from(begin: str) -> list[str]:
    """The lines of the guide's table that begins so."""
    lines = (ROOT / "docs" / "guides" / "memory-and-precision.md").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(begin))
    return list(itertools.takewhile(lambda line: line.startswith("|"), lines[first:]))


def cells_of(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def measured_in(precision: str, task: str, model: str) -> list[float]:
    """Test metrics of the runs that set nothing else."""
    free = {"model.name", "seed", "trainer.threads", "trainer.precision"}
    paths = sorted((ROOT / "results" / task / "runs").glob(f"{model}-*.json"))
    return [
        record.metrics["test"]
        for record in map(read_record, paths)
        if free.issuperset(record.set_by_caller)
        and record.config["trainer"].get("precision", "32") == precision
    ]
