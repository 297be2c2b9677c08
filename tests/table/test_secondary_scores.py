"""Secondary scores: one column per signature, never two signatures in one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from synthetic_records import make_card, make_published, make_record

from bench.core.published import PublishedRow
from bench.core.record import Record
from bench.table.build import Table, build_table
from bench.table.formats import Format, render

TOKENISED = "bleu|case:lc|tok:none|words:moses"
PLAIN = "bleu|case:mixed|tok:13a"
CHRF, TER = "chrf2|nc:6", "ter|tok:tercom"


def bleu_run(
    seed: int, value: float, *, signature: str = TOKENISED, model: str = "gru", **beside: float
) -> Record:
    names = {"plain": PLAIN, "chrf": CHRF, "ter": TER, "tokenised": TOKENISED}
    record = make_record(value, seed=seed, signature=signature, model={"name": model})
    return replace(
        record,
        metric="bleu",
        beside={names[name]: {"test": number} for name, number in beside.items()},
    )


def table_of(*records: Record, rows: Sequence[PublishedRow] = ()) -> Table:
    card = make_card(direction="max")
    return build_table(replace(card, metric=replace(card.metric, name="bleu")), rows, records)


@pytest.fixture(scope="module")
def table() -> Table:
    return table_of(
        bleu_run(1, 57.0, plain=52.0, chrf=70.5, ter=33.0),
        bleu_run(2, 58.0, plain=53.0, chrf=71.5, ter=31.0),
        bleu_run(1, 50.0, model="srn"),
    )


def test_secondary_scores_are_averaged_over_seeds(table: Table) -> None:
    (first,) = [row for row in table.rows if row.model == "gru"]
    assert {name: (m.mean, m.n) for name, m in first.beside.items()} == {
        PLAIN: (52.5, 2),
        CHRF: (71.0, 2),
        TER: (32.0, 2),
    }
    assert next(row for row in table.rows if row.model == "srn").beside == {}


def test_each_signature_has_a_column_with_a_footnote(table: Table) -> None:
    text = render(table, "md")
    header, _, *lines = [line for line in text.splitlines() if line.startswith("|")]
    names = [cell.strip() for cell in header.strip("|").split("|")]
    assert names == ["Model", "Measured", "n", "BLEU [1]", "chrF2 [2]", "TER [3]", "Verdict"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in sorted(lines)]
    cells = dict(zip(("gru", "srn"), rows, strict=True))
    assert cells["gru"][1] == "57.50 ± 0.71"
    assert cells["gru"][3:6] == ["52.50 ± 0.71", "71.00 ± 0.71", "32.0 ± 1.4"]
    assert cells["srn"][3:6] == ["", "", ""]
    assert f"- [1] BLEU: signature `{PLAIN}`.\n" in text
    assert f"- [3] TER: signature `{TER}`, lower is better.\n" in text


def test_two_signatures_of_bleu_never_share_a_column() -> None:
    table = table_of(
        bleu_run(1, 57.0, plain=52.0),
        bleu_run(1, 53.0, signature=PLAIN, model="srn", tokenised=58.0),
    )
    assert [len(block) for block in table.blocks] == [1, 1]
    assert {block[0].signature for block in table.blocks} == {PLAIN, TOKENISED}
    for block in table.blocks:
        assert {name for row in block for name in row.beside}.isdisjoint(
            {row.signature for row in block}
        )


def test_other_versions_of_a_score_have_columns_of_their_own() -> None:
    other = replace(bleu_run(2, 58.0), beside={f"{PLAIN}|version:9": {"test": 1.0}})
    (line,) = [
        line
        for line in render(table_of(bleu_run(1, 57.0, plain=52.0), other), "md").splitlines()
        if line.startswith("| Model")
    ]
    assert line.count("BLEU [") == 2


@pytest.mark.parametrize("format", ["text", "latex"])
def test_text_and_latex_show_secondary_scores(table: Table, format: Format) -> None:
    text = render(table, format)
    assert text.count("chrF2 [2]") == 1
    assert "71.00" in text


def test_json_and_csv_contain_the_signatures(table: Table) -> None:
    rows = json.loads(render(table, "json"))
    assert rows[0]["beside"][CHRF] == {"mean": 71.0, "std": pytest.approx(0.7071, abs=1e-4), "n": 2}
    lines = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert json.loads(lines[0]["beside"]) == rows[0]["beside"]
    assert json.loads(lines[1]["beside"]) == {}


def printed(metrics: dict[str, float], **scores: float) -> PublishedRow:
    beside = {name.replace("_", "-"): {"test": value} for name, value in scores.items()}
    row = make_published(match={"model.name": "gru"})
    return replace(row, metrics=metrics, beside=beside)


def cells_of(table: Table) -> list[dict[str, str]]:
    lines = [line for line in render(table, "md").splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    names = [name.partition(" [")[0] for name in header]
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (printed({}, chrf2=70.9), {"chrF2": "71.00 ± 0.71 (70.9)"}),
        (printed({}, meteor=20.3), {"METEOR": "(20.3)", "chrF2": "71.00 ± 0.71"}),
        (printed({"test": 58.0}, ter=31), {"TER": "32.0 ± 1.4 (31)", "Published": "58.0"}),
    ],
)
def test_published_scores_stand_in_brackets(row: PublishedRow, expected: dict[str, str]) -> None:
    runs = [bleu_run(1, 57.0, chrf=70.5, ter=33.0), bleu_run(2, 58.0, chrf=71.5, ter=31.0)]
    table = table_of(*runs, rows=[row])
    (found,) = cells_of(table)
    assert {name: found.get(name) for name in expected} == expected
    assert "In brackets: what was printed of the score" in render(table, "md")
    assert table.rows[0].published_beside == row.secondary_scores("test")


def test_a_published_score_is_in_the_first_column_of_its_name() -> None:
    other = replace(bleu_run(2, 58.0), beside={f"{PLAIN}|version:9": {"test": 1.0}})
    table = table_of(bleu_run(1, 57.0, plain=52.0), other, rows=[printed({}, bleu=50.0)])
    assert render(table, "md").count("(50.0)") == 1


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ({"chrf2": 60.0}, "chrf2: better"),
        ({"chrf2": 60.0, "ter": 20.0}, "ter: worse"),
        ({"ter": 20.0, "chrf2": 90.0}, "chrf2: worse"),
        ({"copies": 80.0}, "not published"),
        ({"meteor": 80.0}, "not published"),
    ],
)
def test_without_a_published_metric_the_verdict_is_on_the_last_score(
    scores: dict[str, float], verdict: str
) -> None:
    runs = [bleu_run(seed, 57.0 + seed, chrf=71.0 + seed / 10, ter=32.0) for seed in (1, 2, 3)]
    assert table_of(*runs, rows=[printed({}, **scores)]).rows[0].verdict == verdict


def test_a_score_of_another_protocol_is_not_comparable() -> None:
    row = replace(printed({}, chrf2=60.0), protocol="Other words.")
    assert table_of(bleu_run(1, 57.0, chrf=71.0), rows=[row]).rows[0].verdict == "not comparable"


def test_known_scores_precede_others() -> None:
    row = printed({}, copies=1, annotation_r=2, ter=3, bleu_4=4, bleu_1=5)
    (found,) = cells_of(table_of(rows=[row]))
    columns = [name for name, cell in found.items() if cell.startswith("(")]
    assert columns == ["BLEU-1", "BLEU-4", "TER", "Copies", "annotation-r"]


def test_an_unverified_score_of_an_unmeasured_row_is_marked() -> None:
    row = replace(printed({}, bleu_1=57.9), verified="memory")
    (found,) = cells_of(table_of(rows=[row]))
    assert (found["BLEU-1"], found["Verdict"]) == ("(57.9)†", "not run")
