"""Layout options of a table: columns, row groups and rounding."""

from __future__ import annotations

from collections.abc import Collection

from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen
from bench.table.column import DEFAULT_ROUNDING, Rounding
from bench.table.groups import value_text
from bench.table.rows import Row

_OTHERS = "others"


class Layout(Frozen, frozen=True, kw_only=True):
    """Layout options."""

    columns: tuple[str, ...] = ()
    """Keys of columns in order; every column that is not empty unless given."""
    group_by: str | None = None
    """model, source, verdict or a dotted key of the configuration; table order if None."""
    rounding: Rounding = DEFAULT_ROUNDING

    def __post_init__(self) -> None:
        repeated = [name for name in self.columns if self.columns.count(name) > 1]
        if repeated:
            raise BenchError(f"columns: {repeated[0]!r} is named twice")


DEFAULT_LAYOUT = Layout()


def group_rows(
    blocks: list[list[Row]], group_by: str | None
) -> list[tuple[list[Row], dict[int, str]]]:
    """Rows of each block by group, and the heading above the row at each index.

    Groups are in the order of their first rows; rows without a value of `group_by` come last.
    """
    if group_by is None:
        return [(block, {}) for block in blocks]
    rows = [row for block in blocks for row in block]
    known = ["model", "source", "verdict", *sorted({key for row in rows for key in row.config})]
    if group_by not in known:
        raise BenchError(f"group-by: unknown key {group_by!r}, {nearest(group_by, known)}")
    return [_group_block(block, group_by) for block in blocks]


def _group_block(block: list[Row], group_by: str) -> tuple[list[Row], dict[int, str]]:
    groups: dict[str, list[Row]] = {}
    for row in block:
        groups.setdefault(_group_name(row, group_by), []).append(row)
    if _OTHERS in groups:
        groups[_OTHERS] = groups.pop(_OTHERS)
    headings, ordered = dict[int, str](), list[Row]()
    for name, members in groups.items():
        headings[len(ordered)] = name
        ordered += members
    return ordered, headings


def _group_name(row: Row, group_by: str) -> str:
    if group_by == "model":
        return row.model or _OTHERS
    if group_by == "source":
        return row.cite or _OTHERS
    if group_by == "verdict":
        return row.verdict
    value = value_text(row.config.get(group_by, ""))
    return f"{group_by} = {value}" if value else _OTHERS


def check_columns(names: tuple[str, ...], known: Collection[str]) -> None:
    """Raise BenchError for a name that is not among `known`."""
    for name in names:
        if name not in known:
            raise BenchError(f"columns: unknown column {name!r}, {nearest(name, known)}")
