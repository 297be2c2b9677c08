"""Everything that a report shows of a task, read from cards, records and artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.core.cards import Card
from bench.core.published import load_published
from bench.core.record import Record
from bench.core.suite import Suite
from bench.sweep.outcome import SweepResult, read_result
from bench.table import Row, Table, build_table
from bench.text.diagnoses import Diagnosis, diagnosis_path, read_diagnosis


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskContent:
    """One task: its table, and what stands behind it."""

    card: Card
    table: Table
    records: list[Record]
    sweeps: list[SweepResult]
    diagnoses: list[Diagnosis]
    begun: list[str]
    """Runs that have a folder and no record yet."""

    @property
    def task(self) -> str:
        """Its name."""
        return self.card.task

    @cached_property
    def by_id(self) -> dict[str, Record]:
        """Name -> record."""
        return {record.id: record for record in self.records}

    @cached_property
    def rows_of(self) -> dict[str, list[Row]]:
        """Name of a run -> the rows of the table that it is a part of."""
        found: dict[str, list[Row]] = {}
        for row in self.table.rows:
            for run_id in row.records:
                found.setdefault(run_id, []).append(row)
        return found

    def records_of(self, row: Row) -> list[Record]:
        """The runs behind a row."""
        return [self.by_id[run_id] for run_id in row.records]

    def label_of(self, record: Record) -> str:
        """How the table calls a run's configuration; the run's name where it is not in it."""
        rows = self.rows_of.get(record.id)
        return rows[0].label if rows else record.id


def gather(suite: Suite, tasks: Sequence[str] = ()) -> list[TaskContent]:
    """The content of `tasks`; of all that have published rows or records, where none is named.

    Tasks with runs come first. Raises BenchError for an unknown task.
    """
    cards = [suite.card(task) for task in dict.fromkeys(tasks)] or suite.cards()
    found = [_task(suite, card) for card in cards]
    shown = found if tasks else [content for content in found if content.table.rows]
    return sorted(shown, key=lambda content: (not content.records, content.task))


def _task(suite: Suite, card: Card) -> TaskContent:
    records = suite.records(card.task)
    return TaskContent(
        card=card,
        table=build_table(card, load_published(suite, card.task), records),
        records=records,
        sweeps=[read_result(path) for path in sweep_result_paths(suite, card.task)],
        diagnoses=_diagnoses(suite, records),
        begun=_begun(suite, card.task, records),
    )


def sweep_result_paths(suite: Suite, task: str) -> list[Path]:
    """Results of sweeps by name; one of the working folder hides a shipped one."""
    found: dict[str, Path] = {}
    for folder in reversed(suite.folders):
        paths = (folder / "results" / task / "sweeps").glob("*.json")
        found.update({path.stem: path for path in paths})
    return [path for _, path in sorted(found.items())]


def _diagnoses(suite: Suite, records: Sequence[Record]) -> list[Diagnosis]:
    found = (read_diagnosis(diagnosis_path(suite, record)) for record in records)
    return [diagnosis for diagnosis in found if diagnosis is not None]


def _begun(suite: Suite, task: str, records: Sequence[Record]) -> list[str]:
    known = {record.id for record in records}
    folder = suite.folder / "artifacts" / task
    return sorted(
        stamp.parent.name
        for stamp in folder.glob("*/started")
        if stamp.parent.name not in known
        and not suite.record_path(task, stamp.parent.name, "trials").is_file()
    )
