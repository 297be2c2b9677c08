"""What a reader wants to see of a table: which columns, in which groups, how rounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen
from bench.table.column import BY_SPREAD, Rounding
from bench.table.rows import Row

_OTHERS = "others"


class Layout(Frozen, frozen=True, kw_only=True):
    """How a table is to be laid out."""

    columns: tuple[str, ...] = ()
    """Names of columns in their order; those in which something stands unless given."""
    group_by: str | None = None
    """model, source, verdict or a dotted key of the configuration; the order of rows if none."""
    rounding: Rounding = BY_SPREAD

    def __post_init__(self) -> None:
        twice = [name for name in self.columns if self.columns.count(name) > 1]
        if twice:
            raise BenchError(f"columns: {twice[0]!r} is named twice")


PLAIN = Layout()


def in_groups(blocks: list[list[Row]], group_by: str) -> list[tuple[list[Row], dict[int, str]]]:
    """The rows of each block by groups, and the heading above the row at each place.

    Groups come in the order of their first rows; rows that have no such thing come last.
    """
    rows = [row for block in blocks for row in block]
    known = ["model", "source", "verdict", *sorted({key for row in rows for key in row.config})]
    if group_by not in known:
        raise BenchError(f"group-by: unknown key {group_by!r}, {nearest(group_by, known)}")
    return [_grouped(block, group_by) for block in blocks]


def _grouped(block: list[Row], group_by: str) -> tuple[list[Row], dict[int, str]]:
    groups: dict[str, list[Row]] = {}
    for row in block:
        groups.setdefault(_group(row, group_by), []).append(row)
    if _OTHERS in groups:
        groups[_OTHERS] = groups.pop(_OTHERS)
    headings, ordered = dict[int, str](), list[Row]()
    for name, found in groups.items():
        headings[len(ordered)] = name
        ordered += found
    return ordered, headings


def _group(row: Row, group_by: str) -> str:
    if group_by == "model":
        return row.model or _OTHERS
    if group_by == "source":
        return row.cite or _OTHERS
    if group_by == "verdict":
        return row.verdict
    value = setting(row.config, group_by)
    return f"{group_by} = {value}" if value else _OTHERS


def setting(config: Mapping[str, Any], key: str) -> str:
    """A value of a configuration as text; nothing where it has no such key."""
    if key not in config:
        return ""
    value = config[key]
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def chosen(names: Iterable[str], known: Mapping[str, Any]) -> list[str]:
    """`names`, each of which must be one of `known`."""
    names = list(names)
    for name in names:
        if name not in known:
            raise BenchError(f"columns: unknown column {name!r}, {nearest(name, known)}")
    return names
