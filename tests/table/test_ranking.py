"""Ranks of a block: the best mean and its ties; one seed is never ranked."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic_records import SIGNATURE, make_card, make_published, make_record, make_records

from bench.table import build_table
from bench.table.build import num_better_unranked

NAMES = ("gru", "lstm", "scrn", "srn")


def ranks(*groups: list[float], direction: Any = "min") -> list[str | None]:
    """The rank of each group of seeds."""
    records = [
        record
        for name, values in zip(NAMES, groups, strict=False)
        for record in make_records(values, model={"name": name})
    ]
    table = build_table(make_card(direction=direction), [], records)
    by_model = {row.model: row.rank for row in table.rows}
    return [by_model[name] for name in NAMES[: len(groups)]]


LOW, NEAR, HIGH = [10.0, 10.2, 10.4], [10.3, 10.5, 10.7], [12.0, 12.1, 12.2]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ((LOW, HIGH), ["best", None]),
        ((LOW, NEAR, HIGH), ["best", "tied", None]),
        ((HIGH, NEAR, LOW), [None, "tied", "best"]),
        ((LOW, LOW, HIGH), ["best", "tied", None]),
        ((LOW, [9.0]), [None, None]),
        ((LOW, HIGH, [9.0]), ["best", None, None]),
        (([10.0], [11.0]), [None, None]),
        ((LOW,), [None]),
        (([10.0, 10.0], [10.1, 10.1]), ["best", None]),
        (([10.0, 10.0], [10.0, 10.0]), ["best", "tied"]),
    ],
)
def test_the_best_mean_and_its_ties_are_ranked(
    groups: tuple[list[float], ...], expected: list[str | None]
) -> None:
    assert ranks(*groups) == expected


def test_the_highest_is_best_if_higher_is_better() -> None:
    assert ranks(LOW, NEAR, HIGH, direction="max") == [None, None, "best"]


def test_many_comparisons_with_the_best_make_more_ties() -> None:
    """Alone the second differs (p = 0.03); as one of three comparisons Holm leaves it tied."""
    second = [10.48, 10.68, 10.88]
    assert ranks(LOW, second) == ["best", None]
    assert ranks(LOW, second, second, second) == ["best", "tied", "tied", "tied"]


def test_each_signature_has_its_own_best() -> None:
    dynamic = SIGNATURE.replace("static", "dynamic")
    records = [
        *make_records(LOW),
        *make_records(HIGH, model={"name": "gru"}),
        *make_records([8.0, 8.1, 8.2], signature=dynamic, optim={"lr": 0.1}),
        *make_records([9.0, 9.1, 9.2], signature=dynamic, optim={"lr": 0.2}),
    ]
    table = build_table(make_card(), [], records)
    assert [[row.rank for row in block].count("best") for block in table.blocks] == [1, 1]


def test_a_group_that_fills_two_rows_is_one_configuration() -> None:
    published = [
        make_published(10, label="wide", match={"model.name": "scrn"}),
        make_published(10, label="narrow"),
    ]
    alone = build_table(make_card(), published, make_records(LOW))
    assert [row.rank for row in alone.rows] == [None, None]
    records = [*make_records(LOW), *make_records(HIGH, model={"name": "gru"})]
    both = build_table(make_card(), published, records)
    assert [row.rank for row in both.rows] == ["best", "best", None]


def test_bounds_and_unmeasured_rows_are_not_ranked() -> None:
    records = [
        *make_records(LOW, bound=9.0),
        *make_records(HIGH, model={"name": "gru"}, bound=9.0),
        make_record(None, model={"name": "lstm"}),
    ]
    published = make_published(8, label="not run", match={"model.name": "srn"})
    table = build_table(make_card(), [published], records)
    marked = [row.model for row in table.rows if row.rank]
    assert marked == ["scrn"]


@pytest.mark.parametrize(("direction", "expected"), [("min", 1), ("max", 0)])
def test_better_single_seeds_are_counted(direction: Any, expected: int) -> None:
    records = [
        *make_records(LOW),
        *make_records(HIGH, model={"name": "gru"}),
        make_record(9.0, model={"name": "lstm"}),
    ]
    table = build_table(make_card(direction=direction), [], records)
    assert num_better_unranked(table.blocks[0], direction=direction) == expected
