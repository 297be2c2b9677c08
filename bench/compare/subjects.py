"""Subjects of a comparison: runs and groups by name, and rows of a task's table by label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from bench.core.errors import BenchError, nearest
from bench.core.record import Record
from bench.core.suite import Suite
from bench.table import task_table
from bench.table.groups import base_label, group_records

SEEDLESS = frozenset(("ngram", "cache", "maxent", "nearest", "human", "persistence", "mean-frame"))
"""Models whose result does not depend on the seed."""

Groups = dict[tuple[str, str], list[Record]]
"""(task, `<model>-<digest>`) -> records of all seeds."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One run, or all seeds of one configuration."""

    name: str
    label: str
    finished: tuple[Record, ...]
    num_diverged: int

    @property
    def is_seedless(self) -> bool:
        """True if another seed would give the same value."""
        return all(record.model in SEEDLESS for record in self.finished)

    def values(self, split: str) -> list[float]:
        """Metric on `split`, one value per run."""
        return [record.metrics[split] for record in self.finished]


def find_subjects(
    suite: Suite, names: Sequence[str], *, task: str | None, split: str
) -> tuple[list[Subject], list[str]]:
    """Find the runs and groups that `names` stand for; returns them and notes on unmeasured rows.

    A name is that of a run or a group, its digest, or a prefix; with `task` also the label of a row
    of that task's table, or a pattern of labels, which may match several. Raises BenchError for
    unknown and ambiguous names and for subjects that cannot be compared.
    """
    tasks = [suite.card(task).task] if task is not None else list(suite.card_paths())
    groups: Groups = {}
    for name in tasks:
        for record in suite.records(name):
            groups.setdefault((name, group_name(record.id)), []).append(record)
    found: list[Subject] = []
    notes: list[str] = []
    for name in names:
        rows, missing = _by_label(suite, task, name, groups)
        found += rows or [_subject(_by_name(name, groups, task))]
        notes += [f"Not run: {label} (`bench reproduce` runs published rows)" for label in missing]
    _check_comparable(suite, found, split)
    times = Counter(subject.label for subject in found)
    unique = [
        replace(subject, label=f"{subject.label} ({subject.name})")
        if times[subject.label] > 1
        else subject
        for subject in found
    ]
    return unique, notes


def group_name(run_id: str) -> str:
    """`<model>-<digest>`: the name of a run without its seed."""
    return run_id.rpartition("-s")[0]


def _by_label(
    suite: Suite, task: str | None, pattern: str, groups: Groups
) -> tuple[list[Subject], list[str]]:
    """Measured rows of the task's table whose label matches `pattern`, and labels of the others."""
    if task is None:
        return [], []
    rows = [
        row
        for row in task_table(suite, task).rows
        if row.verdict != "bound" and fnmatchcase(row.label.casefold(), pattern.casefold())
    ]
    measured = {group_name(row.records[0]): row.label for row in reversed(rows) if row.measured}
    missing = [row.label for row in rows if not row.measured]
    if missing and not measured:
        raise BenchError(f"{pattern!r}: nothing has measured {', '.join(missing[:4])} yet")
    found = [replace(_subject(groups[task, s]), label=label) for s, label in measured.items()]
    return found[::-1], missing


def _by_name(name: str, groups: Groups, task: str | None) -> list[Record]:
    runs = {(t, record.id): [record] for (t, _), group in groups.items() for record in group}
    attempts = (
        {key: run for key, run in runs.items() if key[1] == name},
        {key: g for key, g in groups.items() if name in (key[1], key[1].rpartition("-")[2])},
        {key: group for key, group in groups.items() if key[1].startswith(name.rstrip("-"))},
        {key: run for key, run in runs.items() if key[1].startswith(name)},
    )
    matching = next((found for found in attempts if found and name), {})
    if len(matching) > 1:
        named = " or ".join(run_id for _, run_id in list(matching)[:4])
        tasks = sorted({t for t, _ in matching})
        more = "write more of it" if len(tasks) == 1 else f"add --task {' or --task '.join(tasks)}"
        raise BenchError(f"{name!r} may be {named}: {more}")
    if not matching:
        where = f" of task {task!r}" if task is not None else ""
        names = [s for _, s in groups]
        hint = nearest(name, names) if names else "there are none yet"
        hint += "" if task is not None else "; rows of a table are named with --task"
        raise BenchError(f"no run or group {name!r}{where}, {hint} (see `bench list runs`)")
    return next(iter(matching.values()))


def _subject(records: Sequence[Record]) -> Subject:
    first, *others = records
    return Subject(
        name=group_name(first.id) if others else first.id,
        label=base_label(group_records(records)[0]),
        finished=tuple(record for record in records if record.status == "finished"),
        num_diverged=sum(record.status == "diverged" for record in records),
    )


def _check_comparable(suite: Suite, subjects: list[Subject], split: str) -> None:
    """Reject repeated runs, and runs of different tasks, signatures, data or card versions."""
    for subject in subjects:
        if not subject.finished:
            raise BenchError(f"{subject.name} diverged: it has no value to compare")
    records = [record for subject in subjects for record in subject.finished]
    repeated = [name for name, times in Counter(r.id for r in records).items() if times > 1]
    if repeated:
        raise BenchError(f"run {repeated[0]} is named twice: nothing can be compared with itself")
    first = records[0]
    for record in records:
        if record.task != first.task:
            raise BenchError(
                f"{record.id} is of task {record.task!r}, {first.id} of {first.task!r}: "
                "only runs of one task can be compared"
            )
        if record.signature != first.signature:
            raise BenchError(
                f"{record.id} measures {record.signature}, {first.id} measures {first.signature}: "
                "only runs of one signature can be compared"
            )
        if not _same_data(record, first):
            raise BenchError(f"{record.id} and {first.id} were measured on different data")
        if record.card_version != suite.card(record.task).version:
            raise BenchError(
                f"run {record.id} was made with version {record.card_version} of task "
                f"{record.task!r}, the card's is another: run it again"
            )
        if split not in record.metrics:
            raise BenchError(f"run {record.id} has no value on the {split} split")


def _same_data(record: Record, first: Record) -> bool:
    """Compare the files that both name (features may differ), and the vocabulary's setting."""
    counts = [each.config.get("data", {}).get("minimum_count") for each in (record, first)]
    shared = record.data.keys() & first.data.keys()
    is_same = all(record.data[name] == first.data[name] for name in shared)
    return is_same and counts[0] == counts[1] and (bool(shared) or record.data == first.data)
