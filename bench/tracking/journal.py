"""Metrics that a run logged, kept beside it: `history.jsonl` in its artifacts.

A resumed run logs some steps again, with the same metrics, and its tracker may have lost the last
of the earlier ones: it is given all of them again from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.record import Record

HISTORY = "history.jsonl"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Metrics of one step."""

    step: int
    metrics: dict[str, float] = field(default_factory=dict)


class Journal:
    """File of rows that is appended to and read back."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / HISTORY

    def append(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Append a row; a kill leaves at most the last one incomplete."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            # The line feed comes first: a row that a kill cut off must not swallow the next one.
            file.write("\n" + json.dumps({"step": step, "numbers": dict(metrics)}))

    def rows(self) -> list[Row]:
        """Rows in order of their steps, each step once; the last value of a metric counts."""
        rows: dict[int, Row] = {}
        for line in self.path.read_text("utf-8").splitlines() if self.path.is_file() else []:
            try:
                logged = json.loads(line)
                row = rows.setdefault(int(logged["step"]), Row(step=int(logged["step"])))
                row.metrics.update(logged["numbers"])
            except (ValueError, TypeError, KeyError):
                continue  # empty, or cut off by a kill: the run logs it again
        return [rows[step] for step in sorted(rows)]


class SentMetrics:
    """Metrics sent to a tracker that has no memory of its own, so that none is sent twice."""

    def __init__(self) -> None:
        self.last_step = 0
        self._sent: set[tuple[str, int]] = set()

    def add_new(self, metrics: Mapping[str, float], *, step: int) -> dict[str, float]:
        """Metrics that were not sent for this step yet; they count as sent from now on."""
        self.last_step = max(step, self.last_step)
        new = {key: value for key, value in metrics.items() if (key, step) not in self._sent}
        self._sent.update((key, step) for key in new)
        return new


def point_metrics(point: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics that are logged of one point of the learning curve."""
    return {
        f"epoch/{key}": value for key, value in point.items() if value is not None and key != "step"
    }


def rows_of(record: Record, folder: Path) -> list[Row]:
    """Rows of the journal in `folder`, completed by the record's learning curve."""
    rows = {row.step: row for row in Journal(folder).rows()}
    for point in record.curve:
        values = {key: getattr(point, key) for key in point.__struct_fields__}
        row = rows.setdefault(point.step, Row(step=point.step))
        row.metrics.update(point_metrics(values))
    return [rows[step] for step in sorted(rows)]
