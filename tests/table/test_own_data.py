"""Numbers of different corpora, vocabularies and language pairs share no column and no test."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.compare import compare
from bench.core.errors import BenchError
from bench.core.record import Record, read_record, with_corpus, write_record
from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.runs.run import run
from bench.table import task_table
from bench.table.column import Column
from bench.table.markup import Section, to_latex
from bench.text.mixture import mix_runs

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "the",
    "dog",
    "ran",
    "to",
    "its",
    "red",
    "house",
    "near",
    "one",
    "blue",
    "lake",
]


def write_text(folder: Path, *, first: int = 0, suffix: str = "txt") -> Path:
    """Sentences in which some words stand once only."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, number in (("train", 30), ("valid", 4), ("test", 4)):
        lines = [
            " ".join(WORDS[(first + i * j) % len(WORDS)] for j in range(6)) for i in range(number)
        ]
        extra = "rare words stand here once\n" if split == "train" else ""
        (folder / f"{split}.{suffix}").write_text(extra + "\n".join(lines) + "\n")
    return folder


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    (tmp_path / "suite").mkdir()
    return Suite(folder=tmp_path / "suite")


def train(suite: Suite, task: str, model: str = "srn", **data: object) -> Record:
    overrides = {
        "data": data,
        "model": {"hidden_size": 4},
        "trainer": {"max_epochs": 1, "threads": 1},
    }
    return run(resolve(suite, task, model=model, overrides=overrides), suite)


def blocks(suite: Suite, task: str) -> list[set[str]]:
    """Runs of each section of the table."""
    return [
        {name for row in block for name in row.records}
        for block in task_table(suite, task).blocks
        if any(row.records for row in block)
    ]


def test_two_vocabularies_of_one_text_are_two_sections(suite: Suite, tmp_path: Path) -> None:
    own = write_text(tmp_path / "own")
    large = train(suite, "text", path=str(own), minimum_count=1)
    small = train(suite, "text", path=str(own), minimum_count=2)
    assert "|types:" in large.signature
    assert sorted(map(len, blocks(suite, "text"))) == [1, 1]
    with pytest.raises(BenchError, match="only runs of one signature"):
        compare(suite, [large.id, small.id], task="text")
    with pytest.raises(BenchError, match="only runs of one signature"):
        mix_runs(suite, "text", [large.id, small.id])


def test_two_corpora_are_two_sections_and_one_corpus_is_one(suite: Suite, tmp_path: Path) -> None:
    one, other = write_text(tmp_path / "one"), write_text(tmp_path / "other", first=3)
    first = train(suite, "text", path=str(one))
    second = train(suite, "text", path=str(other))
    third = train(suite, "text", model="gru", path=f"{one}/")
    assert {first.id, third.id} in blocks(suite, "text")
    assert {second.id} in blocks(suite, "text")


def test_both_directions_of_a_pair_of_languages_are_two_sections(
    suite: Suite, tmp_path: Path
) -> None:
    write_text(tmp_path / "pairs", suffix="en")
    write_text(tmp_path / "pairs", first=2, suffix="fr")
    path = str(tmp_path / "pairs")
    for languages in ("en-fr", "fr-en"):
        record = train(suite, "parallel-text", model="gru", path=path, languages=languages)
        assert f"|pair:{languages}|" in record.signature
    assert sorted(map(len, blocks(suite, "parallel-text"))) == [1, 1]


def test_records_of_own_data_without_a_corpus_are_told_apart_when_they_are_read(
    suite: Suite, tmp_path: Path
) -> None:
    own = write_text(tmp_path / "own")
    record = train(suite, "text", path=str(own))
    folder = suite.record_path("text", record.id).parent
    usual = record.signature.partition("|types:")[0]
    for number, sha in enumerate(("0" * 64, "1" * 64)):
        old = msgspec.structs.replace(
            record, id=f"srn-0000000{number}-s1", digest=f"0000000{number}", signature=usual,
            data=dict.fromkeys(record.data, sha),
        )  # fmt: skip
        write_record(old, folder)
        assert read_record(folder / f"{old.id}.json").signature == usual
        assert with_corpus(old).signature.startswith(f"{usual}|corpus:")
    assert sorted(map(len, blocks(suite, "text"))) == [1, 1, 1]


def test_a_pinned_corpus_adds_nothing_to_signatures(suite: Suite) -> None:
    record = train(suite, "synthetic-text")
    assert record.signature == "perplexity|unit:word|end:<eos>|streams:1|eval:static"


@pytest.mark.parametrize("label", ["[12] LSTM", "*ours"])
def test_a_row_of_latex_that_begins_like_an_argument_is_shielded(label: str) -> None:
    column = Column(name="Model", cells=["plain", label], kind="text")
    latex = to_latex([Section(title="t", columns=[column])], [], title="t", label="t")
    assert f"{{}}{label} \\\\" in latex
    assert "\nplain \\\\" in latex
