"""A table's blocks as sections of columns, laid out as a reader wants them."""

from __future__ import annotations

import math
from collections.abc import Callable

from bench.table.build import Table
from bench.table.cells import comparison_makers, further_makers
from bench.table.column import Maker, Notes, make_columns
from bench.table.layout import Layout, chosen, in_groups
from bench.table.legend import signature_line
from bench.table.markup import Section
from bench.table.rows import Row

# What the measured rows took: arithmetic, time, memory, energy, means over seeds.


Figure = Callable[[Row], float | None]


def cost_makers(rows: list[Row]) -> list[Maker]:
    """A column for each figure; speed and arithmetic have one for each unit that was counted."""
    units = sorted({row.unit for row in rows if row.measured})
    target = next((row.target.value for row in rows if row.target), None)
    return [
        _maker("parameters", "Parameters", lambda row: row.num_parameters),
        *(
            _maker("arithmetic", f"MFLOP/{unit}", _per_unit(unit, lambda row: row.flops_per_token))
            for unit in units
        ),
        *(
            _maker(
                "counted",
                f"MFLOP/{unit}, counted",
                _per_unit(unit, lambda row: row.counted_flops_per_token),
            )
            for unit in units
        ),
        _maker("flops", "TFLOP", lambda row: _scaled(row.flops, 1e-12)),
        _maker("seconds", "Seconds", lambda row: row.seconds),
        *(
            _maker("speed", f"{unit.capitalize()}s/s", _of_unit(unit, lambda r: r.tokens_per_sec))
            for unit in units
        ),
        Maker(name="limit", heading="Of limit", cell=_share),
        Maker(name="memory", heading="Memory", cell=_memory),
        _maker("energy", "kJ", lambda row: _scaled(row.energy_joules, 1e-3)),
        *([] if target is None else [_seconds_to(target)]),
    ]


def _maker(name: str, heading: str, figure: Figure) -> Maker:
    return Maker(name=name, heading=heading, cell=lambda row, _: _shown(figure(row)))


def _of_unit(unit: str, figure: Figure) -> Figure:
    return lambda row: figure(row) if row.unit == unit else None


def _per_unit(unit: str, figure: Figure) -> Figure:
    return _of_unit(unit, lambda row: _scaled(figure(row), 1e-6))


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _shown(value: float | None) -> str:
    """Three significant digits, with thousands marked off."""
    if value is None:
        return ""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def _share(row: Row, _: Notes) -> str:
    return "" if row.share_of_limit is None else f"{100 * row.share_of_limit:.2g} %"


def _memory(row: Row, _: Notes) -> str:
    return "" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e6:,.0f} MB"


def _seconds_to(target: float) -> Maker:
    def cell(row: Row, _: Notes) -> str:
        reached = row.target
        if reached is None or not reached.num_timed:
            return ""
        if not reached.num_reached:
            return "not reached"
        some = reached.num_reached < reached.num_timed
        of = f" ({reached.num_reached} of {reached.num_timed})" if some else ""
        return _shown(reached.seconds) + of

    return Maker(name="target", heading=f"Seconds to {target:g}", cell=cell)


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
