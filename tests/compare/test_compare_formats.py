"""Formats of comparisons, and the command."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from compared_runs import add_run, compared, make_suite

from bench.cli import main
from bench.compare import Comparison, Reading, render
from bench.compare.formats import CSV_COLUMNS
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.table import Format

JSON_KEYS = [
    "task", "title", "metric", "direction", "signature", "split", "confidence", "level", "power",
    "num_resamples", "seed", "units", "method", "measurements", "pairs", "notes",
]  # fmt: skip


@pytest.fixture(scope="module")
def three(toy: Suite) -> Comparison:
    return compared(toy, "scrn", "lstm", "ngram")


@pytest.fixture(scope="module")
def two(toy: Suite) -> Comparison:
    return compared(toy, "scrn", "srn")


@pytest.mark.parametrize("format", ["text", "md", "latex"])
def test_text_formats_have_verdicts_numbers_and_a_legend(three: Comparison, format: Format) -> None:
    said = render(three, format)
    assert "A tie: scrn" in said
    assert "after Holm's correction for 3 comparisons" in said
    assert "20,000 tokens in 50 blocks of 400, 1,000 resamples from seed 1" in said
    assert "losses in nats are added over blocks" in said
    assert "no p below 0.1" in said
    assert "probability 0.8 in the deciding t test at 0.05" in said
    assert "in perplexity" in said
    assert said.endswith("\n")
    assert render(three, format) == said


def test_markdown_has_a_line_for_each_test(two: Comparison) -> None:
    lines = [line for line in render(two, "md").splitlines() if line.startswith("|")]
    assert len(lines) == 4 + 5
    assert [line.split("|")[3].strip() for line in lines[-3:]] == [
        "Welch's t",
        "paired bootstrap",
        "permutation",
    ]
    assert "p (Holm)" not in lines[4], "one comparison needs no correction"
    assert "±" in lines[2]


def test_latex_has_both_tables(three: Comparison) -> None:
    latex = render(three, "latex")
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == 2
    assert r"\label{tab:toy-comparison-2}" in latex
    assert r"$\pm$" in latex
    assert "hidden\\_size" in latex


def test_text_fits_a_terminal_and_names_dropped_columns(two: Comparison) -> None:
    text = render(two, "text", width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "Not shown at this width: " in text
    assert "Welch's t" in text


def test_json_has_frozen_keys_and_every_verdict(three: Comparison) -> None:
    read = json.loads(render(three, "json"))
    assert list(read) == JSON_KEYS
    assert set(read["measurements"][0]["measured"]) == {"mean", "std", "n"}
    assert [pair["outcome"] for pair in read["pairs"]] == ["tie", "better", "better"]
    assert all(pair["verdict"].endswith(".") for pair in read["pairs"])
    assert (read["seed"], read["num_resamples"], read["level"]) == (1, 1000, 0.05)
    assert read["units"] == "20,000 tokens in 50 blocks of 400"


def test_csv_has_a_line_for_each_interval_and_test(three: Comparison) -> None:
    lines = list(csv.DictReader(io.StringIO(render(three, "csv"))))
    assert list(lines[0]) == list(CSV_COLUMNS)
    assert [line["test"] for line in lines].count("mean") == 6
    tests = [line for line in lines if line["second"]]
    assert len(tests) == 3 + 2 + 2
    assert float(tests[0]["estimate"]) == three.pairs[0].difference
    assert float(tests[0]["p"]) == three.pairs[0].tests[0].p


def test_many_untested_pairs_share_a_sentence(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    for model in ("scrn", "srn", "gru"):
        record = add_run(suite, -np.ones(500), model={"name": model})
        (suite.artifacts("toy", record.id) / "log_probs_test.npy").unlink()
    reading = Reading(split="test", missing="leave")
    said = render(compared(suite, "scrn", "srn", "gru", reading=reading), "md")
    assert said.count("Not tested") == 1
    assert "Not tested: 3 pairs" in said
    assert said.count("No test units of ") == 1


def test_an_unknown_format_names_the_nearest(two: Comparison) -> None:
    assert "csv" in get_args(Format)
    with pytest.raises(BenchError, match="unknown format 'latx', did you mean 'latex'"):
        render(two, "latx")  # type: ignore[arg-type]


def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bench", "compare", "--task", "toy", *arguments])
    capsys.readouterr()
    status = 0
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    return status, *capsys.readouterr()


def test_the_command_prints_and_writes(
    toy: Suite,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("scrn", "srn", "--suite", str(toy.folder), "--resamples", "500", "--seed", "7")
    status, out, err = call(capsys, monkeypatch, *names)
    assert (status, err) == (0, "")
    assert "is better than" in out
    assert "500 resamples from seed 7" in out
    path = tmp_path / "made" / "compared.json"
    status, out, _ = call(capsys, monkeypatch, *names, "--format", "json", "--out", str(path))
    assert (status, out) == (0, "")
    assert json.loads(path.read_bytes())["seed"] == 7


def test_notes_of_csv_go_to_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = make_suite(tmp_path / "suite")
    record = add_run(suite, -np.ones(500))
    (suite.artifacts("toy", record.id) / "log_probs_test.npy").unlink()
    place = ("--suite", str(suite.folder), "--missing", "leave")
    status, out, err = call(capsys, monkeypatch, "scrn", *place, "--format", "csv")
    assert status == 0
    assert "No test units of" in err
    assert "No test units" not in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "name runs or groups, as in `bench compare "),
        (("scrm",), "no run or group 'scrm'"),
        (("scrn", "--resamples", "3"), "--resamples 3: give 100 or more"),
        (("scrn", "--missing", "mkae"), '"make"'),
        (("scrn", "--sed", "3"), "did you mean '--seed'?"),
    ],
)
def test_errors_are_one_line(
    toy: Suite,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    named: str,
) -> None:
    status, out, err = call(capsys, monkeypatch, *arguments, "--suite", str(toy.folder))
    assert (status, out) == (2, "")
    assert named in err
    assert err.count("\n") == 1
