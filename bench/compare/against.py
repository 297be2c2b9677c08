"""The rows of a table held against one of them: which differ for sure."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from bench.compare import compare
from bench.compare.pairs import Resampling
from bench.compare.reading import Reading
from bench.compare.result import Significance
from bench.compare.subjects import stem
from bench.core.errors import BenchError, nearest
from bench.core.statistics import holm
from bench.core.suite import Suite
from bench.table import Table
from bench.table.rows import PairwiseTest, Row

BEST = "best"


def add_significance(
    suite: Suite, table: Table, name: str, *, resampling: Resampling | None = None
) -> Table:
    """The table with a test of each measured row against the row `name`, where one is possible.

    `name` is a label or a pattern of labels, a run or its group, or `best` for the best mean. The
    tests are those of `bench compare`: over seeds where there are enough of both, else over the
    test units that runs have kept; p is corrected for their number. Rows of other signatures
    measure something else and are left alone. Raises BenchError unless one row is meant.
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
    tested = {
        record: PairwiseTest(against=reference.label, over=test.over, p=p)
        for (record, test), p in zip(found.items(), p_values, strict=True)
    }

    def marked(row: Row) -> Row:
        test = tested.get(row.records[0]) if row.measured else None
        return replace(row, tested=test) if test else row

    return replace(table, blocks=[[marked(row) for row in block] for block in table.blocks])


def _test(
    suite: Suite, table: Table, row: Row, reference: Row, resampling: Resampling | None
) -> Significance | None:
    """The test that decides on the difference; none where neither seeds nor units allow one."""
    reading = Reading(split=table.split, missing="leave")
    names = [_subject(row), _subject(reference)]
    found = compare(suite, names, task=table.task, reading=reading, resampling=resampling)
    return found.pairs[0].tests[0] if found.pairs[0].tests else None


def _subject(row: Row) -> str:
    """The group's name, or that of the only run."""
    return row.records[0] if len(row.records) == 1 else stem(row.records[0])


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
    """The best mean of the main signature; of the rows that are ranked where some are."""
    main = [row for row in measured if row.signature == measured[0].signature]
    ranked = [row for row in main if row.rank == "best"]
    sign = 1 if table.direction == "min" else -1
    return ranked or [min(main, key=lambda row: sign * row.measured.mean if row.measured else 0.0)]


def _named(measured: Sequence[Row], name: str) -> list[Row]:
    exact = [row for row in measured if row.label.casefold() == name.casefold()]
    runs = [row for row in measured if name in (*row.records, *map(stem, row.records))]
    pattern = name.casefold()
    return exact or runs or [row for row in measured if fnmatchcase(row.label.casefold(), pattern)]
