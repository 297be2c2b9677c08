"""Tests of the rows of a table against one of them."""

from __future__ import annotations

import pytest

from bench.compare import Resampling
from bench.compare.against import add_significance
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.table import Table, task_table
from bench.table.rows import Row

FEW = Resampling(num_resamples=500)


def rows_against(suite: Suite, name: str) -> dict[str, Row]:
    table = add_significance(suite, task_table(suite, "toy"), name, resampling=FEW)
    return {str(row.model): row for row in table.rows}


def test_over_seeds_where_both_have_them_and_over_units_elsewhere(toy: Suite) -> None:
    rows = rows_against(toy, "scrn*")
    assert rows["scrn"].tested is None
    found = {model: row.tested for model, row in rows.items() if row.tested}
    assert {model: test.over for model, test in found.items()} == {
        "lstm": "seeds",
        "srn": "seeds",
        "ngram": "seeds",
    }
    assert {model: test.is_significant for model, test in found.items()} == {
        "lstm": False,
        "srn": True,
        "ngram": True,
    }
    assert found["srn"].against == rows["scrn"].label


def test_a_single_run_is_tested_over_its_units(toy: Suite) -> None:
    table = task_table(toy, "toy")
    alone = table.blocks[0]
    (ngram,) = (row for row in alone if row.model == "ngram")
    one_seed = [
        Row(label=f"{row.label}, seed 1", metric=row.metric, verdict="", split="test",
            measured=ngram.measured, records=row.records[:1], signature=row.signature,
            model=row.model)
        for row in alone if row.model == "srn"
    ]  # fmt: skip
    both = Table(
        task="toy", title="", metric="perplexity", direction="min", split="test",
        blocks=[[*one_seed, ngram]],
    )  # fmt: skip
    srn, _ = add_significance(toy, both, ngram.label, resampling=FEW).rows
    assert srn.tested is not None
    assert (srn.tested.over, srn.tested.is_significant) == ("units", True)


def test_a_row_is_named_by_label_pattern_run_group_or_as_the_best(toy: Suite) -> None:
    (scrn,) = (row for row in task_table(toy, "toy").rows if row.model == "scrn")
    run = scrn.records[0]
    for name in ("best", "SCRN*", scrn.label, run, run.rpartition("-s")[0]):
        rows = rows_against(toy, name)
        assert rows["scrn"].tested is None, name
        assert rows["srn"].tested is not None, name


def test_p_is_corrected_for_the_number_of_rows(toy: Suite) -> None:
    table = task_table(toy, "toy")
    pair = [row for row in table.blocks[0] if row.model in ("scrn", "srn")]
    whole = rows_against(toy, "scrn*")["srn"].tested
    only = Table(
        task="toy", title="", metric="perplexity", direction="min", split="test", blocks=[pair]
    )
    alone = next(
        r.tested for r in add_significance(toy, only, "scrn*", resampling=FEW).rows if r.tested
    )
    assert whole is not None
    assert alone.p < whole.p <= 3 * alone.p + 1e-12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("*", "may be .* or "),
        ("nothing-like-it", "no measured row"),
        ("bst", "did you mean 'best'"),
    ],
)
def test_an_unknown_or_ambiguous_reference_is_rejected(toy: Suite, name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        rows_against(toy, name)
