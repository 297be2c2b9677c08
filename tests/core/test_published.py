from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.core.errors import BenchError
from bench.core.published import read_published
from bench.core.structs import Frozen, options_struct, to_struct
from bench.core.suite import Suite, shipped_folder
from bench.domains import all_baselines, load_attribute
from bench.models import MODELS

ROW: dict[str, Any] = {
    "label": "SCRN",
    "cite": "mikolov2014longer",
    "where": "Table 2",
    "metrics": {"test": 115},
    "protocol": "same",
    "verified": "lecture",
    "match": {"model": "scrn", "model.hidden_size": 100},
}
SHIPPED = sorted(shipped_folder().glob("results/*/published.yaml"))
REFERENCES = (shipped_folder() / "results" / "references.bib").read_text(encoding="utf-8")
CITED = re.findall(r"^@[a-z]+\{([^,]+),$", REFERENCES, re.M)


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "published.yaml"
    path.write_bytes(msgspec.yaml.encode({"rows": list(rows)}))
    return path


def test_a_row_is_read_and_its_model_key_expanded(tmp_path: Path) -> None:
    (row,) = read_published(write(tmp_path, ROW))
    assert row.match == {"model.name": "scrn", "model.hidden_size": 100}
    assert row.metrics == {"test": 115}
    assert isinstance(row.metrics["test"], int), "115 was printed without decimals"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lable": "x"}, "unknown key 'lable', did you mean 'label'"),
        ({"verified": "hearsay"}, "verified"),
        ({"metrics": {}}, "metrics is empty"),
        ({"metrics": {}, "beside": {"bleu-1": {}}}, "beside: bleu-1 is empty"),
        ({"beside": {"bleu-1": {"tset": 1}}}, "beside: bleu-1: 'tset' is not a split"),
        ({"metrics": {"tset": 1}}, "'tset' is not a split, did you mean 'test'"),
        ({"metrics": {"test": "low"}}, "metrics"),
        ({"metrics": {"test": float("inf")}}, "finite"),
        ({"match": None}, "needs a why"),
        ({"match": {"model.hidden_size": 100}}, "match names no model"),
        ({"match": {"model": "scrn", "model.name": "srn"}}, "both 'model' and 'model.name'"),
        ({"match": {"model": "scrn", "optm.lr": 1}}, "'optm.lr' is not PART.OPTION"),
        ({"match": {"model": "scrn", "optim.lrr": 1}}, "unknown key 'optim.lrr'"),
        ({"match": {"model": "scrn", "seed": 1}}, "'seed' is not PART.OPTION"),
        ({"match": {"model": "scrn", "model.sizes": [1]}}, "expected one value"),
        ({"where": " "}, "where is empty"),
        ({"protocol": ""}, "protocol is empty"),
        ({"recipe": ""}, "recipe is empty"),
        ({"match": None, "why": "no model", "recipe": "scrn"}, "a row without a match is not run"),
    ],
)
def test_an_error_names_file_and_row(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path, {**ROW, "label": "first"}, {**ROW, **change})
    with pytest.raises(BenchError, match=re.escape(message)) as caught:
        read_published(path)
    assert f"{path}: row 2 ('SCRN')" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", list(ROW))
def test_every_key_is_required(tmp_path: Path, key: str) -> None:
    row = {name: value for name, value in ROW.items() if name != key}
    with pytest.raises(BenchError, match=f"row 1.*{key}"):
        read_published(write(tmp_path, row))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- label: x", "expected a mapping"),
        ("rows: 3", "expected a list under 'rows'"),
        ("", "expected a list under 'rows'"),
        ("rows: [3]", "row 1: expected keys and values"),
        ("rows: []\nrow: []", "unknown key 'row'"),
    ],
)
def test_a_malformed_file_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(BenchError, match=re.escape(message)):
        read_published(path)


def test_repeated_labels_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="label 'SCRN' is given twice"):
        read_published(write(tmp_path, ROW, ROW))


def test_something_is_shipped() -> None:
    assert {path.parent.name for path in SHIPPED} >= {"ptb", "ptb-char", "text8"}
    assert len(set(CITED)) == len(CITED) > 20


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_rows_are_read_and_cite_known_works(path: Path) -> None:
    cited = {row.cite for row in read_published(path)} - {None}
    assert cited <= set(CITED)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_rows_match_options_that_the_models_have(path: Path) -> None:
    """A misspelled option would match no run, and nobody would be told."""
    from bench.models import model_options

    for row in read_published(path):
        name = (row.match or {}).get("model.name")
        options = {k[6:]: v for k, v in (row.match or {}).items() if k.startswith("model.")}
        options.pop("name", None)
        if name in MODELS:
            assert set(options) <= set(model_options(name).__struct_fields__), row.label
        elif name in all_baselines() and options:
            struct = options_struct(load_attribute(all_baselines()[name]), Frozen)
            to_struct(options, struct, where=row.label)


@pytest.mark.parametrize("task", Suite(folder=shipped_folder()).card_paths())
def test_cards_name_known_works(task: str) -> None:
    source = Suite(folder=shipped_folder()).card(task).source
    assert source is None or source in CITED


@pytest.mark.parametrize(
    ("label", "value", "verified"),
    [
        ("5-gram, Kneser-Ney", 141.2, "secondary"),
        ("5-gram, Kneser-Ney, with a cache", 125.7, "secondary"),
        ("SRN, 100 hidden", 129, "lecture"),
        ("LSTM, 100 hidden", 115, "lecture"),
        ("SCRN, 100 hidden, 40 context", 115, "lecture"),
        ("SRN, 50 hidden", 144, "memory"),
        ("LSTM, 2 x 200, no dropout (small)", 114.5, "memory"),
        ("AWD-LSTM, mixture of softmaxes", 54.44, "secondary"),
        ("Recurrent network + KN5 + cache", 97.5, "secondary"),
    ],
)
def test_penn_treebank_rows_say_what_was_printed(label: str, value: float, verified: str) -> None:
    rows = {
        row.label: row for row in read_published(shipped_folder() / "results/ptb/published.yaml")
    }
    assert (rows[label].metrics["test"], rows[label].verified) == (value, verified)
