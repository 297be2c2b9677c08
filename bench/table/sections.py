"""A table's blocks as sections of columns, laid out as a reader wants them."""

from __future__ import annotations

from bench.table.build import Table
from bench.table.cells import comparison_makers, further_makers
from bench.table.column import Maker, Notes, make_columns
from bench.table.cost import cost_makers
from bench.table.layout import Layout, chosen, in_groups
from bench.table.legend import signature_line
from bench.table.markup import Section
from bench.table.rows import Row


def comparison_sections(table: Table, layout: Layout, notes: Notes) -> list[Section]:
    """A section for each signature."""
    blocks = [block for block in table.blocks if block]
    if layout.columns:
        rows = table.rows
        chosen(layout.columns, {maker.name: maker for maker in _all(rows, rows, layout)})
    grouped: list[tuple[list[Row], dict[int, str]]] = [(block, {}) for block in blocks]
    if layout.group_by is not None:
        grouped = in_groups(blocks, layout.group_by)
    return [
        Section(
            title=signature_line(table, block),
            columns=make_columns(
                _chosen(block, table.rows, layout),
                block,
                notes,
                empty="shown" if layout.columns else "left out",
            ),
            headings=headings,
        )
        for block, headings in grouped
    ]


def cost_section(table: Table, notes: Notes) -> Section:
    """What the measured rows of all signatures took."""
    measured = [row for row in table.rows if row.measured]
    makers = [*comparison_makers([])[:1], *cost_makers(measured)]
    return Section(title="cost, means over seeds", columns=make_columns(makers, measured, notes))


def _all(block: list[Row], rows: list[Row], layout: Layout) -> list[Maker]:
    return [
        *comparison_makers(block, layout.rounding),
        *cost_makers(rows),
        *further_makers(rows),
    ]


def _chosen(block: list[Row], rows: list[Row], layout: Layout) -> list[Maker]:
    """One name may stand for several columns: a score under two signatures."""
    if not layout.columns:
        return comparison_makers(block, layout.rounding)
    makers = _all(block, rows, layout)
    return [maker for name in layout.columns for maker in makers if maker.name == name]
