"""Samples of a model's outputs on the test split, and files of a run, for any tracker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.captioning.outputs import read_captions
from bench.core.record import Record
from bench.core.suite import Suite
from bench.speech.outputs import read_recognitions
from bench.text.outputs import read_text_samples
from bench.tracking.options import Sendable
from bench.tracking.tracker import TrackedRun
from bench.translation.outputs import read_translations

SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class SampleTable:
    """Rows of text; a column called `image` holds names of images."""

    columns: Sequence[str]
    rows: list[list[Any]]


def sample_table(folder: Path, *, num_rows: int) -> SampleTable | None:
    """Evenly spaced outputs from a run's folder; None if it has none."""
    readers: tuple[Callable[[Path], SampleTable | None], ...] = (
        _texts,
        _recognitions,
        _translations,
        _captions,
    )
    if num_rows == 0:
        return None
    for reader in readers:
        if (found := reader(folder)) is not None:
            places = _spread(len(found.rows), num_rows)
            return SampleTable(columns=found.columns, rows=[found.rows[i] for i in places])
    return None


def _texts(folder: Path) -> SampleTable | None:
    found = read_text_samples(folder, SPLIT)
    if found is None:
        return None
    return SampleTable(columns=["text"], rows=[[line.text] for line in found.lines])


def _recognitions(folder: Path) -> SampleTable | None:
    found = read_recognitions(folder, SPLIT)
    if found is None:
        return None
    rows = [[line.utterance, line.reference, line.hypothesis] for line in found.lines]
    return SampleTable(columns=["utterance", "reference", "hypothesis"], rows=rows)


def _translations(folder: Path) -> SampleTable | None:
    found = read_translations(folder, SPLIT)
    if found is None:
        return None
    rows = [[line.source, line.reference, line.hypothesis] for line in found.lines]
    return SampleTable(columns=["source", "reference", "hypothesis"], rows=rows)


def _captions(folder: Path) -> SampleTable | None:
    found = read_captions(folder, SPLIT)
    if found is None:
        return None
    rows = [
        [line.image, line.hypothesis, "\n".join(line.references), line.nearest]
        for line in found.turns[0]
    ]
    return SampleTable(columns=["image", "caption", "people", "nearest in training"], rows=rows)


def _spread(number: int, wanted: int) -> list[int]:
    """At most `wanted` of `number` places, evenly spaced, with the first and the last."""
    if number <= wanted or wanted < 2:
        return list(range(min(number, wanted)))
    return [round(i * (number - 1) / (wanted - 1)) for i in range(wanted)]


_STEMS = {
    "checkpoints": ("weights",),
    "predictions": ("texts-", "recognitions-", "translations-", "captions-", "log_probs_"),
    "tables": (),
}


def files_to_send(run: TrackedRun, kind: Sendable) -> list[Path]:
    """Files of the run's folder that belong to `kind`, by name."""
    if not run.folder.is_dir():
        return []
    found = [path for path in run.folder.iterdir() if path.name.startswith(_STEMS[kind])]
    return sorted(path for path in found if path.is_file() and _STEMS[kind])


def texts_to_send(run: TrackedRun, kind: Sendable, record: Record) -> dict[str, str]:
    """Text by file name: with `tables` the record and the task's table, else nothing."""
    if kind != "tables":
        return {}
    from bench.table import render, task_table

    table = task_table(Suite(folder=run.suite_folder), record.task)
    return {
        "record.json": msgspec.json.format(msgspec.json.encode(record), indent=1).decode() + "\n",
        "table.md": render(table, "md"),
        "table.json": render(table, "json"),
    }
