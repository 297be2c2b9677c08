"""Content of a report: the table, records, sweeps and diagnoses of each task; number formats."""

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
from bench.table.groups import value_text
from bench.text.diagnoses import Diagnosis, diagnosis_path, read_diagnosis


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskContent:
    """Content of one task."""

    card: Card
    table: Table
    records: list[Record]
    sweeps: list[SweepResult]
    diagnoses: list[Diagnosis]
    started: list[str]
    """Names of runs that have a folder and no record yet."""

    @property
    def task(self) -> str:
        return self.card.task

    @cached_property
    def by_id(self) -> dict[str, Record]:
        """Records by name."""
        return {record.id: record for record in self.records}

    @cached_property
    def rows_of(self) -> dict[str, list[Row]]:
        """Rows of the table that include a run, by its name."""
        found: dict[str, list[Row]] = {}
        for row in self.table.rows:
            for run_id in row.records:
                found.setdefault(run_id, []).append(row)
        return found

    def label_of(self, record: Record) -> str:
        """Table label of a run's configuration; the run's name if the table lacks it."""
        rows = self.rows_of.get(record.id)
        return rows[0].label if rows else record.id


def gather(suite: Suite, tasks: Sequence[str] = ()) -> list[TaskContent]:
    """Gather the content of `tasks`, or of all that have published rows or records.

    Tasks with runs come first. Raises BenchError for an unknown task.
    """
    cards = [suite.card(task) for task in dict.fromkeys(tasks)] or suite.cards()
    found = [_task(suite, card) for card in cards]
    shown = found if tasks else [content for content in found if content.table.rows]
    return sorted(shown, key=lambda content: (not content.records, content.task))


def _task(suite: Suite, card: Card) -> TaskContent:
    records = suite.records(card.task)
    diagnosis_paths = [diagnosis_path(suite, record) for record in records]
    return TaskContent(
        card=card,
        table=build_table(card, load_published(suite, card.task), records),
        records=records,
        sweeps=[read_result(path) for path in _sweep_result_paths(suite, card.task)],
        diagnoses=[d for path in diagnosis_paths if (d := read_diagnosis(path))],
        started=_started_runs(suite, card.task, records),
    )


def _sweep_result_paths(suite: Suite, task: str) -> list[Path]:
    """Results of sweeps, sorted by name; those of the working folder take precedence."""
    found: dict[str, Path] = {}
    for folder in reversed(suite.folders):
        paths = (folder / "results" / task / "sweeps").glob("*.json")
        found.update({path.stem: path for path in paths})
    return [path for _, path in sorted(found.items())]


def _started_runs(suite: Suite, task: str, records: Sequence[Record]) -> list[str]:
    known = {record.id for record in records}
    folder = suite.folder / "artifacts" / task
    return sorted(
        stamp.parent.name
        for stamp in folder.glob("*/started")
        if stamp.parent.name not in known
        and not suite.record_path(task, stamp.parent.name, "trials").is_file()
    )


def format_number(value: float | None, digits: int = 4) -> str:
    """Number with four significant digits and thousands separators: 104.9, 2,438,100, 1.432."""
    if value is None:
        return ""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    if not math.isfinite(value):
        return str(value)
    exponent = math.floor(math.log10(abs(value))) if value else 0
    if exponent < -4 or exponent >= 15:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def format_duration(seconds: float | None) -> str:
    """48 s, 12.3 min, 5.2 h."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def format_bytes(num_bytes: float | None) -> str:
    """684 MB, 25.3 GB."""
    if num_bytes is None:
        return ""
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes < 1e10 else f"{num_bytes / 1e9:,.1f} GB"


def format_setting(value: Any) -> str:
    """Value of a setting in the notation of YAML and the command line."""
    return "null" if value is None else value_text(value)


def split_label(label: str) -> tuple[str, str]:
    """Split a row's label into the name and the settings after it, with long fractions shortened.

    `SRN, 100 hidden; optim.lr=0.1`, `srn, hidden_size=100` and `large (srn, hidden_size=900)` have
    the names `SRN, 100 hidden`, `srn` and `large`.
    """
    found = re.fullmatch(r"(.+?)(?:; (.*)| \((\w+, .*=.*)\)(?:; (.*))?|, ((?:[\w.]+=).*))", label)
    if found is None:
        return label, ""
    settings = "; ".join(part for part in found.groups()[1:] if part)
    return found[1], re.sub(r"\d+\.\d{5,}(?:e-?\d+)?", lambda m: f"{float(m[0]):.3g}", settings)


def truncate(text: str, length: int) -> str:
    """Truncate to `length` characters, with an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip(' ,;')}…"
