"""Everything that a report shows of a task, read from cards, records and artifacts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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


# Numbers, sizes and settings as a page writes them; those of tables come from `bench.table`.


def short(value: float | None, digits: int = 4) -> str:
    """Four significant digits, with thousands marked off: 104.9, 2,438,100, 1.432."""
    if value is None:
        return ""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    if not math.isfinite(value):
        return str(value)
    size = math.floor(math.log10(abs(value))) if value else 0
    if size < -4 or size >= 15:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - size)}f}"


def duration(seconds: float | None) -> str:
    """48 s, 12.3 min, 5.2 h."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def size(num_bytes: float | None) -> str:
    """684 MB, 25.3 GB."""
    if num_bytes is None:
        return ""
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes < 1e10 else f"{num_bytes / 1e9:,.1f} GB"


def written(value: Any) -> str:
    """A setting as YAML and the command line write it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def split_label(label: str) -> tuple[str, str]:
    """The name in a row's label, and the settings that follow it, long fractions shortened.

    `SRN, 100 hidden; optim.lr=0.1`, `srn, hidden_size=100` and `large (srn, hidden_size=900)` are
    `SRN, 100 hidden`, `srn` and `large`, each with the rest.
    """
    found = re.fullmatch(r"(.+?)(?:; (.*)| \((\w+, .*=.*)\)(?:; (.*))?|, ((?:[\w.]+=).*))", label)
    if found is None:
        return label, ""
    settings = "; ".join(part for part in found.groups()[1:] if part)
    return found[1], re.sub(r"\d+\.\d{5,}(?:e-?\d+)?", lambda m: f"{float(m[0]):.3g}", settings)


def cut(text: str, length: int) -> str:
    """At most `length` characters, with a sign that something is missing."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip(' ,;')}…"


def day(moment: str) -> str:
    """The day of a time in ISO form."""
    return moment[:10]


def plural(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
