from __future__ import annotations

from typing import Any

import pytest
from synthetic_records import SIGNATURE, make_card, make_published, make_record, make_records

from bench.table import Row, Table, build_table

DYNAMIC = SIGNATURE.replace("static", "dynamic")


def by_label(table: Table) -> dict[str, Row]:
    rows = {row.label: row for row in table.rows}
    assert len(rows) == len(table.rows), "labels tell rows apart"
    return rows


def test_seeds_of_one_configuration_fill_the_published_row() -> None:
    records = make_records([114.0, 115.0, 117.0])
    (row,) = build_table(make_card(), [make_published(115)], records).rows
    assert row.measured is not None
    assert (row.measured.n, row.published, row.verdict) == (3, 115, "reproduced")
    assert row.measured.mean == pytest.approx(346 / 3)
    assert row.difference == pytest.approx(1 / 3)
    assert row.records == [record.id for record in records]
    assert row.seconds == 200.0
    assert row.signature == SIGNATURE
    assert "seed" not in row.config


def test_settings_without_effect_do_not_split_a_group() -> None:
    records = [
        make_record(114.0, seed=1, trainer={"threads": 1}),
        make_record(116.0, seed=2, trainer={"threads": 2, "checkpoint_every_steps": 9}),
    ]
    (row,) = build_table(make_card(), [], records).rows
    assert row.measured is not None
    assert row.measured.n == 2


def test_a_setting_added_after_a_record_is_not_a_difference() -> None:
    records = [
        make_record(114.0),
        make_record(116.0, model={"alpha": 0.9}, data={"on_bad": "refuse"}),
    ]
    labels = by_label(build_table(make_card(), [make_published()], records))
    assert not any("on_bad" in label for label in labels)
    assert any("alpha" in label for label in labels), list(labels)


def test_an_unmeasured_row_is_kept() -> None:
    (row,) = build_table(make_card(), [make_published()], []).rows
    assert (row.verdict, row.measured, row.records, row.model) == ("not run", None, [], "scrn")


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"model.hidden_size": 100}, True),
        ({"model.hidden_size": 100.0}, True),
        ({"model.hidden_size": 200}, False),
        ({"model.num_layers": True}, False),
        ({"model.alpha": 0.95}, False),
        ({"objective.output": "full", "optim.lr": 0.5}, True),
    ],
)
def test_a_match_is_contained_in_the_configuration(match: dict[str, Any], fits: bool) -> None:
    published = make_published(match={"model.name": "scrn", **match})
    rows = build_table(make_card(), [published], [make_record(114.0)]).rows
    assert (rows[0].measured is not None) == fits
    assert len(rows) == (1 if fits else 2)


def test_the_run_nearest_the_recipe_fills_the_row() -> None:
    """A setting that the caller chose is a row of its own, however good on test."""
    records = [
        make_record(100.0, valid=101.0, optim={"lr": 0.9}, caller=("optim.lr",)),
        make_record(116.0, valid=120.0),
        make_record(99.0, valid=100.0, recipe="big", objective={"bptt_length": 70}),
    ]
    rows = by_label(build_table(make_card(), [make_published()], records))
    filled = rows["SCRN, 100 hidden, 40 context"]
    assert filled.measured is not None
    assert filled.measured.mean == 116.0
    other = rows["SCRN, 100 hidden, 40 context; optim.lr=0.9"]
    assert (other.verdict, other.published, other.difference) == ("not published", None, None)
    assert "SCRN, 100 hidden, 40 context; objective.bptt_length=70" in rows


def test_keys_of_the_match_do_not_count_as_choices() -> None:
    published = make_published(match={"model.name": "scrn", "model.hidden_size": 300})
    big = {"name": "scrn", "hidden_size": 300}
    records = [
        make_record(116.0, model=big, caller=("model.hidden_size",)),
        make_record(110.0, valid=100.0, model=big, optim={"lr": 9.0}, recipe="big-and-fast"),
    ]
    row = build_table(make_card(), [published], records).rows[0]
    assert row.measured is not None
    assert row.measured.mean == 116.0


@pytest.mark.parametrize(("direction", "expected"), [("min", 0.1), ("max", 0.2)])
def test_equally_near_groups_are_ordered_by_validation(direction: Any, expected: float) -> None:
    records = [
        make_record(90.0, valid=118.0, optim={"lr": 0.1}, caller=("optim.lr",)),
        make_record(80.0, valid=119.0, optim={"lr": 0.2}, caller=("optim.lr",)),
    ]
    card = make_card(direction=direction)
    row = build_table(card, [make_published()], records).rows[0]
    assert row.config["optim.lr"] == expected


def test_an_unpublished_row_is_labelled_by_its_named_recipe() -> None:
    """Recipes may differ in settings that no size shows, such as the initialisation."""
    gru = {"name": "gru", "hidden_size": 100}
    base = "gru, hidden_size=100, context_size=40"
    records = [
        make_record(113.0, model=gru, recipe="calm", optim={"lr": 0.1}),
        make_record(112.0, model=gru, recipe="fast", optim={"lr": 0.9}),
        make_record(111.0, model=gru, recipe="gru"),
        make_record(110.0, model=gru, recipe="fast", optim={"lr": 2.0}, caller=("optim.lr",)),
    ]
    assert set(by_label(build_table(make_card(), [], records))) == {
        f"calm ({base})",
        f"fast ({base})",
        f"fast ({base}); optim.lr=2.0",
        base,
    }


def test_unpublished_models_are_rows_of_their_own() -> None:
    gru = {"name": "gru", "hidden_size": 100}
    records = [
        *make_records([113.0, 114.0], model=gru),
        make_record(112.0, model=gru, optim={"lr": 0.1}, caller=("optim.lr",)),
        make_record(105.0, model={"name": "gru", "hidden_size": 200}),
    ]
    rows = by_label(build_table(make_card(), [make_published()], records))
    base = "gru, hidden_size=100, context_size=40"
    assert list(rows) == [
        "SCRN, 100 hidden, 40 context",
        base,
        f"{base}; optim.lr=0.1",
        "gru, hidden_size=200, context_size=40",
    ]
    gru_row = rows[base]
    assert gru_row.verdict == "not published"
    assert gru_row.measured is not None
    assert gru_row.measured.n == 2


def test_an_unpublished_row_is_labelled_by_the_choices_of_the_caller() -> None:
    gru = {"name": "gru", "hidden_size": 100}
    caller = ("model.hidden_size", "objective.output", "seed")
    record = make_record(116.0, model=gru, objective={"output": "adaptive"}, caller=caller)
    (label,) = by_label(build_table(make_card(), [], [record]))
    assert label.startswith("gru, hidden_size=100")
    assert label.endswith("; objective.output=adaptive")


def test_a_group_fills_every_row_that_it_matches() -> None:
    wide = make_published(140, label="wide", match={"model.name": "scrn"})
    rows = build_table(make_card(), [wide, make_published()], [make_record(116.0)]).rows
    assert [row.verdict for row in rows] == ["better (1 seed)", "worse (1 seed)"]


def test_a_group_that_fills_one_row_is_not_repeated_under_another() -> None:
    deep = make_published(label="deep", match={"model.name": "scrn", "model.num_layers": 2})
    records = [
        make_record(116.0),
        make_record(110.0, model={"num_layers": 2}, caller=("model.num_layers",)),
    ]
    table = build_table(make_card(), [make_published(), deep], records)
    assert [row.records for row in table.rows] == [[record.id] for record in records]


def test_two_signatures_never_share_a_block() -> None:
    records = [*make_records([114.0, 116.0]), make_record(104.0, signature=DYNAMIC)]
    table = build_table(make_card(), [make_published()], records)
    assert [[row.signature for row in block] for block in table.blocks] == [[SIGNATURE], [DYNAMIC]]
    filled, other = table.rows
    assert filled.measured is not None
    assert (filled.measured.n, filled.measured.mean) == (2, 115.0)
    assert (other.published, other.verdict) == (None, "not published")


def test_the_main_signature_measures_most_published_rows() -> None:
    lstm = {"name": "lstm", "hidden_size": 100}
    rows = [make_published(), make_published(label="LSTM", match={"model.name": "lstm"})]
    records = [
        make_record(116.0),
        make_record(115.0, model=lstm),
        *(make_record(99.0, model=lstm, optim={"lr": x}, signature=DYNAMIC) for x in (1, 2, 3)),
    ]
    table = build_table(make_card(), rows, records)
    assert [row.label for row in table.blocks[0]] == [row.label for row in rows]
    assert all(row.signature == SIGNATURE for row in table.blocks[0])


def test_diverged_runs_are_counted_and_never_averaged() -> None:
    records = [make_record(114.0, seed=1), make_record(None, seed=2), make_record(None, seed=3)]
    (row,) = build_table(make_card(), [make_published()], records).rows
    assert row.measured is not None
    assert (row.measured.n, row.num_diverged, row.verdict) == (1, 2, "better (1 seed)")


def test_a_diverged_configuration_yields_to_a_finished_one() -> None:
    diverged = make_record(None)
    (alone,) = build_table(make_card(), [make_published()], [diverged]).rows
    assert (alone.verdict, alone.measured, alone.records) == ("diverged", None, [diverged.id])
    tuned = make_record(118.0, optim={"lr": 0.1}, caller=("optim.lr",))
    first, second = build_table(make_card(), [make_published()], [diverged, tuned]).rows
    assert (first.records, second.verdict) == ([tuned.id], "diverged")


def test_a_bound_is_a_row_and_every_row_has_its_gap() -> None:
    records = [
        *make_records([42.0, 44.0], bound=40.0),
        make_record(41.0, model={"name": "lstm"}, bound=40.0),
    ]
    lstm, scrn, bound = build_table(make_card(), [], records).rows
    assert (scrn.excess, lstm.excess) == (3.0, 1.0)
    assert (bound.label, bound.bound, bound.verdict) == (
        "bound (the generator's own)",
        40.0,
        "bound",
    )
    assert bound.measured is None
    higher = build_table(make_card(direction="max"), [], records).rows
    assert higher[0].excess == -1.0


def test_only_the_test_split_has_a_bound() -> None:
    rows = build_table(make_card(), [], [make_record(42.0, bound=40.0)], split="valid").rows
    assert [(row.bound, row.measured and row.measured.mean) for row in rows] == [(None, 120.0)]


def test_records_of_another_card_version_are_left_out_and_counted() -> None:
    records = [make_record(114.0), make_record(90.0, seed=2, version=2)]
    table = build_table(make_card(version=2), [make_published()], records)
    assert [row.records for row in table.rows] == [[records[1].id]]
    assert table.num_left_out == 1


def test_the_order_of_records_does_not_matter() -> None:
    records = [
        *make_records([114.0, 115.0, 117.0]),
        *make_records([110.0, 111.0], optim={"lr": 0.9}, caller=("optim.lr",)),
        *make_records([104.0], signature=DYNAMIC),
        make_record(113.0, model={"name": "gru"}),
    ]
    forward = build_table(make_card(), [make_published()], records)
    assert build_table(make_card(), [make_published()], records[::-1]) == forward
