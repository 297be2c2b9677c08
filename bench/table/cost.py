"""What the measured rows took: arithmetic, time, memory, energy, means over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable

from bench.table.column import Maker, Notes
from bench.table.rows import Row

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
