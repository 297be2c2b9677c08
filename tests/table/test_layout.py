"""Layout options of tables, and tables embedded in a README."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from msgspec.structs import replace
from synthetic_records import make_card, make_published, make_record, make_records

from bench.core.errors import BenchError
from bench.table import Layout, Rounding, Table, build_table, published_rows, render
from bench.table.embed import embedded_tasks, fill_tables

OTHER = "perplexity|eval:dynamic"


@pytest.fixture(scope="module")
def table() -> Table:
    """Two published rows, one of them not run, three models, a bound."""
    sgd: dict[str, Any] = {"optim": {"name": "sgd"}}
    return build_table(
        make_card(),
        [make_published(115), make_published(123, label="LSTM", match={"model.name": "lstm"})],
        [
            *make_records([114.0, 115.0, 117.0], bound=100.0),
            *make_records([110.0, 110.5], model={"name": "gru"}, bound=100.0),
            make_record(120.0, model={"name": "gru"}, caller=("optim.name",), bound=100.0, **sgd),
        ],
    )


def lines_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def shown(table: Table, **layout: Any) -> list[list[str]]:
    return lines_of(render(table, "md", layout=Layout(**layout)))


def test_columns_are_those_named_in_their_order(table: Table) -> None:
    header, _, first, *_ = shown(table, columns=("measured", "model", "seconds", "optim.lr"))
    assert header == ["Measured", "Model", "Seconds", "optim.lr"]
    assert first == ["115.3 ± 1.5", "SCRN, 100 hidden, 40 context", "200", "0.5"]


def test_a_named_column_is_shown_if_empty(table: Table) -> None:
    header, _, first, *_ = shown(table, columns=("model", "energy", "cite"))
    assert header == ["Model", "kJ", "Cite"]
    assert first[1:] == ["", "mikolov2014longer"]


def test_an_unknown_column_names_the_nearest(table: Table) -> None:
    with pytest.raises(BenchError, match="unknown column 'mesured', did you mean 'measured'"):
        shown(table, columns=("mesured",))
    with pytest.raises(BenchError, match="'n' is named twice"):
        Layout(columns=("n", "n"))


def test_one_name_stands_for_all_versions_of_a_score() -> None:
    records = [
        replace(make_record(115.0, seed=seed), beside={f"chrf2|nc:{seed}": {"test": 60.0 + seed}})
        for seed in (1, 2)
    ]
    header, *_ = shown(build_table(make_card(), [], records), columns=("model", "chrf2"))
    assert header == ["Model", "chrF2 [1]", "chrF2 [2]"]


def test_the_legend_explains_what_is_shown_and_nothing_else(table: Table) -> None:
    whole, narrow = render(table, "md"), render(table, "md", layout=Layout(columns=("model", "n")))
    for words in ("Verdict:", "Source:", "standard deviation", "Bold:"):
        assert words in whole
        assert words not in narrow


@pytest.mark.parametrize(
    ("group_by", "headings"),
    [
        ("model", ["*scrn*", "*lstm*", "*gru*", "*others*"]),
        ("source", ["*mikolov2014longer*", "*others*"]),
        ("optim.name", ["*optim.name = adamw*", "*optim.name = sgd*", "*others*"]),
    ],
)
def test_rows_of_a_group_stand_together_under_its_name(
    table: Table, group_by: str, headings: list[str]
) -> None:
    lines = shown(table, group_by=group_by)
    found = [line[0] for line in lines if line[0].startswith("*")]
    assert found == headings
    assert len(lines) == 2 + len(table.rows) + len(found)


def test_groups_reorder_rows_in_json_and_csv(table: Table) -> None:
    layout = Layout(group_by="model", columns=("label", "model"))
    rows = json.loads(render(table, "json", layout=layout))
    assert list(rows[0]) == ["label", "model"]
    models = [row["model"] for row in rows]
    assert models == sorted(models, key=models.index)
    lines = list(csv.DictReader(io.StringIO(render(table, "csv", layout=layout))))
    assert [line["label"] for line in lines] == [row["label"] for row in rows]


def test_an_unknown_group_names_the_nearest(table: Table) -> None:
    with pytest.raises(BenchError, match="unknown key 'modle', did you mean 'model'"):
        shown(table, group_by="modle")


def test_groups_have_rules_in_latex_and_headings_in_text(table: Table) -> None:
    layout = Layout(group_by="model")
    latex = render(table, "latex", layout=layout)
    assert latex.count(r"\midrule") == 4
    assert r"l}{\emph{gru}} \\" in latex
    text = render(table, "text", layout=layout).splitlines()
    assert text[text.index("gru") - 1] == ""


@pytest.mark.parametrize(
    ("rounding", "cell"),
    [
        (Rounding(), "115.3 ± 1.5"),
        (Rounding(spread_digits=1), "115 ± 2"),
        (Rounding(spread_digits=3), "115.33 ± 1.53"),
        (Rounding(decimals=2), "115.33 ± 1.53"),
        (Rounding(decimals=0), "115 ± 2"),
    ],
)
def test_rounding_follows_the_spread_or_is_the_same_for_all(
    table: Table, rounding: Rounding, cell: str
) -> None:
    _, _, first, *_ = shown(table, columns=("measured",), rounding=rounding)
    assert first == [cell]


def test_published_rows_stand_alone_and_are_ranked_among_themselves() -> None:
    records = [
        *make_records([114.0, 115.0]),
        *make_records([99.0, 99.5], model={"name": "gru"}),
        *make_records([120.0, 121.0], model={"name": "lstm"}),
        *make_records([104.0, 104.5], signature=OTHER, model={"name": "gru"}),
    ]
    rows = [make_published(), make_published(label="LSTM", match={"model.name": "lstm"})]
    alone = published_rows(build_table(make_card(), rows, records))
    assert [row.label for row in alone.rows] == ["SCRN, 100 hidden, 40 context", "LSTM"]
    assert [row.rank for row in alone.rows] == ["best", None]
    assert OTHER not in render(alone, "md")


def filled(mark: str, table: Table) -> str:
    text = f"# Title\n\n<!-- table: {mark} -->\nold\n<!-- end of table -->\n\nMore.\n"
    assert embedded_tasks(text) == ["toy"]
    new = fill_tables(text, {"toy": table})
    assert fill_tables(new, {"toy": table}) == new
    assert new.startswith(f"# Title\n\n<!-- table: {mark} -->\n")
    assert new.endswith("<!-- end of table -->\n\nMore.\n")
    return new


@pytest.mark.parametrize(
    ("mark", "labels"),
    [
        ("toy", ["SCRN, 100 hidden, 40 context", "gru, hidden_size=100, context_size=40"]),
        ("toy, published", ["SCRN, 100 hidden, 40 context"]),
    ],
)
def test_an_embedded_table_selects_rows(table: Table, mark: str, labels: list[str]) -> None:
    found = [line[0] for line in lines_of(filled(mark, table))[2:]]
    assert found[: len(labels)] == labels
    assert ("published" in mark) == (len(found) == len(labels) + 1)
    assert found[-1].startswith("bound")


def test_an_embedded_table_selects_columns(table: Table) -> None:
    header, *_ = lines_of(filled("toy, published, columns model measured n", table))
    assert header == ["Model", "Measured", "n"]


@pytest.mark.parametrize("wish", ["publishd", "columns", "published rows"])
def test_an_unknown_option_of_an_embedded_table_is_rejected(table: Table, wish: str) -> None:
    text = f"<!-- table: toy, {wish} -->\n<!-- end of table -->\n"
    with pytest.raises(BenchError, match=f"not '{wish}'"):
        fill_tables(text, {"toy": table})
