"""Tests of the rows of a table against one of them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from bench.compare import compare
from bench.compare.pairs import Resampling
from bench.compare.reading import Reading
from bench.compare.result import Significance
from bench.compare.subjects import group_name
from bench.core.errors import BenchError, nearest
from bench.core.statistics import holm
from bench.core.suite import Suite
from bench.table import Table
from bench.table.rows import PairwiseTest, Row

BEST = "best"


def add_significance(
    suite: Suite, table: Table, name: str, *, resampling: Resampling | None = None
) -> Table:
    """Copy of the table with a test of each measured row against the row `name`, if possible.

    `name` is a label or a pattern of labels, a run or its group, or `best` for the best mean. The
    tests are those of `bench compare`: over seeds if both rows have enough of them, else over the
    test units that runs kept; p is corrected for their number. Rows of other signatures are left
    alone. Raises BenchError if `name` matches no row or several.
    """
    reference = _reference(table, name)
    others = [
        row
        for row in table.rows
        if row.measured
        and row.signature == reference.signature
        and set(row.records).isdisjoint(reference.records)
    ]
    found = {
        row.records[0]: test
        for row in others
        if (test := _test(suite, table, row, reference, resampling))
    }
    p_values = holm([test.p for test in found.values()])
    tests = {
        record: PairwiseTest(against=reference.label, over=test.over, p=p)
        for (record, test), p in zip(found.items(), p_values, strict=True)
    }
    blocks = [
        [replace(row, tested=tests.get(row.records[0])) if row.measured else row for row in block]
        for block in table.blocks
    ]
    return replace(table, blocks=blocks)


def _test(
    suite: Suite, table: Table, row: Row, reference: Row, resampling: Resampling | None
) -> Significance | None:
    """Deciding test of the difference; None if neither seeds nor units allow one."""
    reading = Reading(split=table.split, missing="leave")
    names = [
        found.records[0] if len(found.records) == 1 else group_name(found.records[0])
        for found in (row, reference)
    ]
    comparison = compare(suite, names, task=table.task, reading=reading, resampling=resampling)
    return next(iter(comparison.pairs[0].tests), None)


def _reference(table: Table, name: str) -> Row:
    measured = [row for row in table.rows if row.measured]
    if not measured:
        raise BenchError(f"--against {name}: nothing has measured a row of {table.task} yet")
    found = _best(table, measured) if name == BEST else _named(measured, name)
    # One group may stand for several published rows.
    if len({tuple(row.records) for row in found}) > 1:
        labels = " or ".join(repr(row.label) for row in found[:4])
        raise BenchError(f"--against {name!r} may be {labels}: write more of it")
    if not found:
        hint = nearest(name, [BEST, *(row.label for row in measured)])
        raise BenchError(f"--against: no measured row {name!r}, {hint}")
    return found[0]


def _best(table: Table, measured: Sequence[Row]) -> list[Row]:
    """Best mean of the main signature, among the ranked rows if there are any."""
    main = [row for row in measured if row.signature == measured[0].signature]
    ranked = [row for row in main if row.rank == "best"]
    sign = 1 if table.direction == "min" else -1
    return ranked or [min(main, key=lambda row: sign * row.measured.mean if row.measured else 0.0)]


def _named(measured: Sequence[Row], name: str) -> list[Row]:
    pattern = name.casefold()
    return (
        [row for row in measured if row.label.casefold() == pattern]
        or [row for row in measured if name in (*row.records, *map(group_name, row.records))]
        or [row for row in measured if fnmatchcase(row.label.casefold(), pattern)]
    )
