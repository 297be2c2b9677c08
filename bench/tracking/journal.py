"""What a run told its tracker, kept beside the run: `history.jsonl` in its artifacts.

A run that goes on after a kill logs some steps again, with the same numbers, and the tracker may
have lost the last of the earlier ones; from here it is told the whole.
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
    """The numbers of one step."""

    step: int
    numbers: dict[str, float] = field(default_factory=dict)


class Journal:
    """Appends rows to a file and reads them back."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / HISTORY

    def append(self, numbers: Mapping[str, float], *, step: int) -> None:
        """Keep a row; a kill leaves at most the last one incomplete."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            # The line feed first: what a kill has cut off must not swallow the next row.
            file.write("\n" + json.dumps({"step": step, "numbers": dict(numbers)}))

    def rows(self) -> list[Row]:
        """All steps in order, each once; what was said last of a number counts."""
        steps: dict[int, Row] = {}
        for line in self.path.read_text("utf-8").splitlines() if self.path.is_file() else []:
            try:
                said = json.loads(line)
                row = steps.setdefault(int(said["step"]), Row(step=int(said["step"])))
                row.numbers.update(said["numbers"])
            except (ValueError, TypeError, KeyError):
                continue  # empty, or cut off by a kill: the run logs it again
        return [steps[step] for step in sorted(steps)]


class Told:
    """What a tracker without a memory of its own has been told: nothing is told twice.

    After a kill some steps are trained again, with the same numbers.
    """

    def __init__(self) -> None:
        self._known: set[tuple[str, int]] = set()

    def fresh(self, numbers: Mapping[str, float], *, step: int) -> dict[str, float]:
        """Those that were not told of this step yet; from now on they were."""
        found = {key: value for key, value in numbers.items() if (key, step) not in self._known}
        self._known.update((key, step) for key in found)
        return found


def point_numbers(point: Mapping[str, float | None]) -> dict[str, float]:
    """What is logged of one validation of the learning curve."""
    return {
        f"epoch/{key}": value for key, value in point.items() if value is not None and key != "step"
    }


def rows_of(record: Record, folder: Path) -> list[Row]:
    """The journal's rows, and those of the record's curve where it has none of them."""
    rows = {row.step: row for row in Journal(folder).rows()}
    for point in record.curve:
        told = {key: getattr(point, key) for key in point.__struct_fields__}
        row = rows.setdefault(point.step, Row(step=point.step))
        row.numbers.update(point_numbers(told))
    return [rows[step] for step in sorted(rows)]
