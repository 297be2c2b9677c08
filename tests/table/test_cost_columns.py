"""Cost columns of tables."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from synthetic_records import make_card, make_record

from bench.core.record import Point, Record
from bench.table import build_table, render
from bench.table.rows import TimeToTarget

FIGURES: dict[str, Any] = {
    "flops_per_token": 8_570_000,
    "counted_flops_per_token": 8_600_000,
    "flops": 159_000_000_000_000,
    "tokens_per_sec": 20_590.0,
    "share_of_limit": 0.634,
    "energy_joules": 12_340.0,
    "energy_source": "RAPL",
}


def run(seed: int = 1, **cost: Any) -> Record:
    record = make_record(115.0 + seed, seed=seed)
    return replace(record, cost=replace(record.cost, **cost))


def timed(seed: int, valid: list[float], seconds: list[float]) -> Record:
    points = [
        Point(epoch=epoch, step=epoch, train=None, valid=value, lr=0.1)
        for epoch, value in enumerate(valid, start=1)
    ]
    return replace(run(seed, seconds_by_point=seconds), curve=points)


def cost_cells(*records: Record, target: float | None = None) -> dict[str, str]:
    text = render(build_table(make_card(), [], records, target=target), "md", cost="shown")
    table = text[text.index("Cost, means over seeds") :].splitlines()
    header, _, first = ([c.strip() for c in line.strip("|").split("|")] for line in table[2:5])
    return dict(zip(header, first, strict=True))


def test_every_figure_has_a_column() -> None:
    assert cost_cells(run(**FIGURES)) == {
        "Model": "scrn, hidden_size=100, context_size=40",
        "Parameters": "2,050,000",
        "MFLOP/token": "8.57",
        "MFLOP/token, counted": "8.60",
        "TFLOP": "159",
        "Seconds": "100",
        "Tokens/s": "20,600",
        "Of limit": "63 %",
        "kJ": "12.3",
    }


def test_a_cost_that_no_run_has_is_no_column() -> None:
    assert list(cost_cells(run())) == ["Model", "Parameters", "Seconds"]


def test_a_figure_is_the_mean_of_the_seeds_that_have_it() -> None:
    cells = cost_cells(run(1, energy_joules=1000.0), run(2, energy_joules=3000.0), run(3))
    assert cells["kJ"] == "2.00"


@pytest.mark.parametrize(
    ("direction", "target", "seconds"),
    [
        ("min", 120.0, 20.0),
        ("min", 121.0, 20.0),
        ("min", 110.0, 30.0),
        ("min", 109.0, None),
        ("max", 125.0, 10.0),
    ],
)
def test_a_target_is_reached_at_the_first_validation_as_good(
    direction: Any, target: float, seconds: float | None
) -> None:
    record = timed(1, [130.0, 120.0, 110.0], [10.0, 20.0, 30.0])
    assert record.seconds_to(target, direction) == seconds


def test_a_record_without_times_has_no_time_to_target() -> None:
    assert timed(1, [130.0, 120.0], []).seconds_to(200.0, "min") is None
    assert "Seconds to 120" not in cost_cells(run(), target=120.0)


@pytest.mark.parametrize(
    ("second", "cell"),
    [([130.0, 119.0], "30.0"), ([130.0, 125.0], "20.0 (1 of 2)")],
)
def test_seeds_that_never_reach_a_target_are_counted(second: list[float], cell: str) -> None:
    records = [timed(1, [130.0, 120.0], [10.0, 20.0]), timed(2, second, [15.0, 40.0])]
    assert cost_cells(*records, target=120.0)["Seconds to 120"] == cell
    (row,) = build_table(make_card(), [], records, target=1.0).rows
    assert row.target == TimeToTarget(value=1.0, seconds=None, num_reached=0, num_timed=2)
    assert cost_cells(*records, target=1.0)["Seconds to 1"] == "not reached"


def test_the_legend_explains_costs() -> None:
    table = build_table(make_card(), [], [run(**FIGURES)])
    text = render(table, "md", cost="shown")
    for words in ("by formula; counted: in a few batches", "Of limit:", "kJ:"):
        assert words in text
        assert words not in render(table, "md")
