"""Sections of a table: comparisons by signature, and costs."""

from __future__ import annotations

import math

from bench.table.build import Table
from bench.table.cells import comparison_columns, extra_columns
from bench.table.column import ColumnSpec, Footnotes, build_columns
from bench.table.layout import Layout, check_columns, group_rows
from bench.table.legend import section_title
from bench.table.markup import Section
from bench.table.rows import Row


def comparison_sections(table: Table, layout: Layout, notes: Footnotes) -> list[Section]:
    """One section per metric signature."""
    blocks = [block for block in table.blocks if block]
    if layout.columns:
        known = [spec.key for spec in _all_columns(table.rows, table.rows, layout)]
        check_columns(layout.columns, known)
    return [
        Section(
            title=section_title(table, block),
            columns=build_columns(
                _selected_columns(block, table.rows, layout),
                block,
                notes,
                empty="keep" if layout.columns else "omit",
            ),
            headings=headings,
        )
        for block, headings in group_rows(blocks, layout.group_by)
    ]


def cost_section(table: Table, notes: Footnotes) -> Section:
    """Costs of the measured rows of all signatures, means over seeds."""
    measured = [row for row in table.rows if row.measured]
    specs = [*comparison_columns([])[:1], *_cost_columns(measured)]
    return Section(title="cost, means over seeds", columns=build_columns(specs, measured, notes))


def _all_columns(block: list[Row], rows: list[Row], layout: Layout) -> list[ColumnSpec]:
    return [
        *comparison_columns(block, layout.rounding),
        *_cost_columns(rows),
        *extra_columns(rows),
    ]


def _selected_columns(block: list[Row], rows: list[Row], layout: Layout) -> list[ColumnSpec]:
    """Columns in the order of the layout; a score under two signatures is two columns."""
    if not layout.columns:
        return comparison_columns(block, layout.rounding)
    specs = _all_columns(block, rows, layout)
    return [spec for key in layout.columns for spec in specs if spec.key == key]


def _cost_columns(rows: list[Row]) -> list[ColumnSpec]:
    """One column per figure; speed and arithmetic have one for each unit that was counted."""
    units = sorted({row.unit for row in rows if row.measured})
    target = next((row.target.value for row in rows if row.target), None)
    mflop, counted = ("flops_per_token", 1e-6), ("counted_flops_per_token", 1e-6)
    return [
        _figure("parameters", "Parameters", "num_parameters"),
        *(_figure("arithmetic", f"MFLOP/{unit}", *mflop, unit=unit) for unit in units),
        *(_figure("counted", f"MFLOP/{unit}, counted", *counted, unit=unit) for unit in units),
        _figure("flops", "TFLOP", "flops", 1e-12),
        _figure("seconds", "Seconds", "seconds"),
        *(_figure("speed", f"{u.capitalize()}s/s", "tokens_per_sec", unit=u) for u in units),
        ColumnSpec(key="limit", name="Of limit", cell=_share_of_limit),
        ColumnSpec(key="memory", name="Memory", cell=_peak_memory),
        _figure("energy", "kJ", "energy_joules", 1e-3),
        *([] if target is None else [_seconds_to(target)]),
    ]


def _figure(
    key: str, name: str, field: str, factor: float = 1.0, *, unit: str | None = None
) -> ColumnSpec:
    """Column of a field of `Row` times `factor`, in rows that count in `unit` if one is given."""

    def cell(row: Row, _: Footnotes) -> str:
        value: float | None = getattr(row, field)
        return "" if value is None or unit not in (None, row.unit) else _rounded(value * factor)

    return ColumnSpec(key=key, name=name, cell=cell)


def _rounded(value: float) -> str:
    """Three significant digits with thousands separators."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def _share_of_limit(row: Row, _: Footnotes) -> str:
    return "" if row.share_of_limit is None else f"{100 * row.share_of_limit:.2g} %"


def _peak_memory(row: Row, _: Footnotes) -> str:
    return "" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e6:,.0f} MB"


def _seconds_to(target: float) -> ColumnSpec:
    def cell(row: Row, _: Footnotes) -> str:
        reached = row.target
        if reached is None or not reached.num_timed:
            return ""
        if reached.seconds is None:
            return "not reached"
        is_partial = reached.num_reached < reached.num_timed
        share = f" ({reached.num_reached} of {reached.num_timed})" if is_partial else ""
        return _rounded(reached.seconds) + share

    return ColumnSpec(key="target", name=f"Seconds to {target:g}", cell=cell)
