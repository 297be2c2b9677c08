from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace
from synthetic_records import make_card, make_published, make_record, make_records

from bench.core.errors import BenchError
from bench.core.published import PublishedRow
from bench.core.record import Record
from bench.table import Format, Table, build_table, render
from bench.table.column import num_decimals
from bench.table.markup import escape_latex, escape_markdown

JSON_KEYS = [
    "label", "model", "config", "metric", "published", "measured", "difference", "protocol",
    "verified", "verdict", "rank", "records", "signature", "split", "bound", "excess", "cite",
    "where", "why", "num_diverged", "num_parameters", "flops_per_token", "seconds",
    "tokens_per_sec", "peak_memory_bytes", "beside", "published_beside", "unit", "flops",
    "counted_flops_per_token", "share_of_limit", "energy_joules", "target", "tested",
]  # fmt: skip
FORMATS: tuple[Format, ...] = ("text", "md", "latex", "csv", "json", "html")


@pytest.fixture(scope="module")
def table() -> Table:
    """One row of each kind."""
    published = [
        make_published(115),
        make_published(
            123, label="LSTM_50 & more", match={"model.name": "lstm"}, verified="memory"
        ),
        make_published(
            97.5,
            label="dynamic",
            match={"model.name": "srn"},
            protocol="Adapts to the test text.",
        ),
        PublishedRow(
            label="PAQ8",
            cite=None,
            where="table 4.1",
            metrics={"test": 131.1},
            protocol="same",
            verified="secondary",
            match=None,
            why="A compressor of bytes.",
        ),
    ]
    records = [
        *make_records([114.0, 115.0, 117.0], bound=100.0),
        make_record(None, seed=4),
        make_record(120.0, model={"name": "srn"}, bound=100.0),
        make_record(113.25, model={"name": "gru"}, bound=100.0),
    ]
    return build_table(make_card(), published, records)


def test_markdown_equals_the_golden_file(table: Table) -> None:
    expected = Path(__file__).with_name("expected.md").read_text(encoding="utf-8")
    assert render(table, "md") == expected


def test_json_is_a_list_of_rows_with_frozen_keys(table: Table) -> None:
    rows = json.loads(render(table, "json"))
    assert all(list(row) == JSON_KEYS for row in rows)
    assert set(rows[0]["measured"]) == {"mean", "std", "n"}
    assert rows[0]["measured"]["n"] == 3
    assert rows[1]["measured"] is None
    assert rows[1]["verified"] == "memory"
    assert rows[3]["why"] == "A compressor of bytes."
    assert rows[4]["measured"]["std"] is None


def test_csv_holds_the_same_rows(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert [line["label"] for line in lines] == [row.label for row in table.rows]
    assert float(lines[0]["measured_mean"]) == pytest.approx(346 / 3)
    assert lines[0]["measured_n"] == "3"
    assert lines[0]["records"].split() == table.rows[0].records
    assert json.loads(lines[0]["config"]) == table.rows[0].config
    assert (lines[1]["measured_mean"], lines[1]["verified"]) == ("", "memory")


def test_latex_is_booktabs_with_citations(table: Table) -> None:
    latex = render(table, "latex")
    assert latex.count(r"\begin{tabular}{lrrrrrrlll}") == 1
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}", r"\end{table}"):
        assert latex.count(rule) == 1
    assert r"115.3 $\pm$ 1.5 & 3 & 1 & $+0.3$ & $+15.3$ & reproduced" in latex
    assert r"LSTM\_50 \& more & 123$^{\dagger}$" in latex
    assert r"\cite{mikolov2014longer}, Table 2 (lecture)" in latex
    assert "untraced, table 4.1" in latex
    assert r"\texttt{perplexity\textbar\allowbreak{}unit:word\textbar\allowbreak{}end:" in latex
    assert all(
        line.count("&") - line.count(r"\&") == 9 for line in latex.split("\n") if r" \\" in line
    )


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        ("a_b", r"a\_b"),
        ("50% & $5 #1", r"50\% \& \$5 \#1"),
        ("{x}", r"\{x\}"),
        ("a\\b", r"a\textbackslash{}b"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("<unk>|", r"\textless{}unk\textgreater{}\textbar{}"),
        ("1 ± 2†", r"1 $\pm$ 2$^{\dagger}$"),
        ("`a_b`", r"\texttt{a\_b}"),
    ],
)
def test_latex_special_characters_are_escaped(plain: str, escaped: str) -> None:
    assert escape_latex(plain) == escaped


def test_markdown_special_characters_are_escaped() -> None:
    assert (
        escape_markdown("a|b <unk> *x* `y` hidden_size") == r"a\|b \<unk> \*x\* \`y\` hidden_size"
    )


@pytest.mark.parametrize("format", FORMATS)
def test_a_number_from_memory_is_marked_in_every_format(table: Table, format: Format) -> None:
    text = render(table, format)
    mark = {"csv": "memory", "json": '"verified": "memory"', "latex": r"123$^{\dagger}$"}
    assert mark.get(format, "123†") in text
    if format not in ("csv", "json"):
        assert "quoted from memory, not verified" in text


def test_the_best_and_its_ties_stand_out_in_every_format() -> None:
    near = make_records([115.1, 115.9, 117.2], model={"name": "gru"})
    far = make_records([120.0, 121.0, 122.0], model={"name": "srn"})
    table = build_table(
        make_card(), [make_published()], [*make_records([114.0, 115.0, 117.0]), *near, *far]
    )
    legend = "the best mean of the rows with two seeds or more, and every mean tied with it"
    markdown, latex, text = (render(table, f) for f in ("md", "latex", "text"))
    for said, marks in (
        (markdown, ("**115.3 ± 1.5**", "**116.1 ± 1.1**", " 121.0 ± 1.0 |")),
        (latex, (r"\textbf{115.3 $\pm$ 1.5}", r"\textbf{116.1 $\pm$ 1.1}", r"& 121.0 $\pm$ 1.0")),
        (text, ("115.3 ± 1.5 *", "116.1 ± 1.1 *", "121.0 ± 1.0   ")),
    ):
        assert all(mark in said for mark in marks)
        assert legend in said
    assert [row["rank"] for row in json.loads(render(table, "json"))] == ["best", "tied", None]
    assert r"p $\geq$ 0.05" in latex


@pytest.mark.parametrize("format", ["text", "md", "latex"])
def test_one_seed_each_is_not_ranked_and_the_legend_says_why(format: Format) -> None:
    records = [make_record(115.0), make_record(120.0, model={"name": "srn"})]
    said = render(build_table(make_card(), [], records), format)
    assert "one seed has no spread" in said
    assert not any(mark in said for mark in ("**", "textbf", " *"))


def test_better_rows_of_one_seed_are_counted_in_the_legend() -> None:
    records = [
        *make_records([115.0, 116.0]),
        *make_records([125.0, 126.0], model={"name": "srn"}),
        make_record(100.0, model={"name": "gru"}),
        make_record(130.0, model={"name": "lstm"}),
    ]
    said = render(build_table(make_card(), [], records), "md")
    assert "Better, but of one seed and not ranked: 1 row." in said


@pytest.mark.parametrize("format", FORMATS)
def test_output_is_deterministic_and_ends_with_a_newline(table: Table, format: Format) -> None:
    assert render(table, format) == render(table, format)
    assert render(table, format).endswith("\n")


def test_text_is_aligned(table: Table) -> None:
    lines = render(table, "text").splitlines()
    header = next(line for line in lines if "Published" in line)
    row = next(line for line in lines if line.startswith("LSTM_50"))
    assert row.index("123†") + 4 == header.index("Published") + len("Published")


def test_a_narrow_terminal_wraps_names_and_says_what_it_leaves_out(table: Table) -> None:
    text = render(table, "text", width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "reproduced" in text
    assert "not comparable" in text
    assert "Not shown at this width: Gap to bound, Protocol, Source." in text
    assert "Not shown" not in render(table, "text")


def test_signatures_stand_over_their_own_blocks() -> None:
    other = "perplexity|eval:dynamic"
    records = [
        make_record(115.0),
        make_record(104.0, signature=other, optim={"lr": 0.1}, caller=("optim.lr",)),
    ]
    text = render(build_table(make_card(), [make_published()], records), "md")
    assert text.count("| Model") == 2
    assert text.index("eval:static") < text.index("; optim.lr=0.1")
    assert text.index("eval:dynamic") < text.index("; optim.lr=0.1")


def test_equal_footnotes_share_a_number() -> None:
    published = [
        make_published(label=label, match={"model.name": "srn"}, protocol=protocol)
        for label, protocol in (("a", "Adapts."), ("b", "Adapts."), ("c", "Smaller vocabulary."))
    ]
    text = render(build_table(make_card(), published, []), "md")
    assert [text.count(mark) for mark in ("differs [1]", "differs [2]", "[3]")] == [2, 1, 0]


def test_cost_is_shown_on_request(table: Table) -> None:
    assert "Parameters" not in render(table, "md")
    text = render(table, "md", cost="shown")
    cost = text[text.index("Cost, means over seeds") :]
    assert "2,050,000" in cost
    assert "LSTM_50" not in cost
    assert "Memory" not in cost


def test_speed_is_headed_by_the_unit_of_the_records() -> None:
    def run(name: str, unit: Literal["token", "frame"], speed: float) -> Record:
        record = make_record(115.0, model={"name": name})
        return replace(record, cost=replace(record.cost, unit=unit, tokens_per_sec=speed))

    table = build_table(
        make_card(), [], [run("gru", "frame", 20000.0), run("srn", "token", 3000.0)]
    )
    lines = [line for line in render(table, "md", cost="shown").splitlines() if "/s" in line]
    assert [cell.strip() for cell in lines[0].split("|")[4:6]] == ["Frames/s", "Tokens/s"]
    assert [row.unit for row in table.rows] == ["frame", "token"]


def test_the_legend_counts_records_of_another_version() -> None:
    records = [make_record(115.0, version=2), make_record(99.0)]
    table = build_table(make_card(version=2), [], records)
    assert "Left out: 1 record " in render(table, "md")


def test_an_empty_table_says_so() -> None:
    table = build_table(make_card(), [], [])
    assert render(table, "md") == "No published rows and no records of toy yet.\n"
    assert json.loads(render(table, "json")) == []
    assert render(table, "csv").count("\n") == 1


def test_an_unknown_format_names_the_nearest() -> None:
    table = build_table(make_card(), [], [])
    with pytest.raises(BenchError, match="unknown format 'latx', did you mean 'latex'"):
        render(table, "latx")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spread", "metric", "digits", "decimals"),
    [
        (0.43, "perplexity", 2, 2),
        (1.53, "perplexity", 2, 1),
        (12.3, "perplexity", 2, 0),
        (0.0996, "perplexity", 2, 2),
        (0.00421, "bits-per-character", 2, 4),
        (None, "perplexity", 2, 1),
        (0.0, "perplexity", 2, 1),
        (None, "bits-per-character", 2, 3),
        (None, "accuracy", 2, 2),
        (0.43, "perplexity", 1, 1),
        (0.96, "perplexity", 1, 0),
        (0.43, "perplexity", 3, 3),
        (None, "perplexity", 1, 1),
    ],
)
def test_decimals_show_the_digits_of_the_spread(
    spread: float | None, metric: str, digits: int, decimals: int
) -> None:
    assert num_decimals(spread, metric, digits=digits) == decimals
