"""`bench errors` and `bench compare` of translation runs, from what the runs kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine
from made_translations import TASK, add_run, make_suite, sentences, translations

from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.error_curves import alike, powers
from bench.translation.metrics import count_sentences, words_13a
from bench.translation.outputs import FEWEST, LENGTH, RANK


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("translations") / "suite")


@pytest.fixture(scope="module")
def records(suite: Suite) -> dict[str, Record]:
    return {
        "good": add_run(suite, translations(0.2, 2), model="gru"),
        "bad": add_run(suite, translations(0.9, 3), model="srn"),
        "other": add_run(suite, translations(0.2, 4, sentences(8, 40)), model="lstm"),
    }


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_groups_are_about_equal_and_equal_values_stand_together() -> None:
    values = np.array([1, 1, 1, 1, 1, 2, 3, 4, 5, 6.0])
    groups = alike(values, 4)
    assert len(set(groups[:5])) == 1
    assert (np.diff(groups) >= 0).all()
    assert np.bincount(alike(np.arange(100.0), 4)).tolist() == [25] * 4
    assert set(alike(np.ones(5), 8)) == {0}


def test_counts_are_grouped_by_powers_of_ten() -> None:
    assert powers(np.array([0, 1, 9, 10, 99, 100, 999, 1000.0])).tolist() == [
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
    ]


def test_groups_hold_every_sentence_once_and_bleu_of_their_own() -> None:
    made = translations()
    found = made.curves(num_groups=5)
    assert list(found) == [LENGTH, RANK, FEWEST]
    for curve in found.values():
        assert sum(group.size for group in curve) == len(made.lines)
        assert all(group.low <= group.value <= group.high for group in curve)
    first = found[LENGTH][0]
    low, high = (int(end) for end in first.label.split("-"))
    own = [line for line in made.lines if low <= len(words_13a(line.source)) <= high]
    expected = count_sentences(
        [line.hypothesis_words for line in own],
        [line.reference_words for line in own],
        protocol=made.units().protocol,
    )
    assert (first.size, first.value) == (len(own), expected.value)
    assert first.value > found[LENGTH][-1].value + 5, "long sentences were spoilt more"


def test_tables_and_a_picture_of_each_run(
    bench: CommandLine, suite: Suite, records: dict[str, Record]
) -> None:
    record = records["good"]
    said = bench("errors", record.id[:6], "--num-groups", "4", "--suite", str(suite.folder))
    assert said.status == 0, said
    heading, *tables, picture = said.out.strip().split("\n\n")
    assert record.signature in heading
    assert f"search beam(5), BLEU {record.metrics['test']:.2f}" in heading
    assert [table.splitlines()[0] for table in tables] == [
        f"by {name}" for name in (LENGTH, RANK, FEWEST)
    ]
    assert len(tables[0].splitlines()) == 2 + 4
    path = Path(picture.removeprefix("picture "))
    assert path == suite.artifacts(TASK, record.id) / "bleu-test.png"
    assert path.stat().st_size > 1000


def test_several_runs_in_one_picture(
    bench: CommandLine, suite: Suite, records: dict[str, Record], tmp_path: Path
) -> None:
    both, picture = [records["good"].id, records["bad"].id], tmp_path / "both.svg"
    said = bench("errors", *both, "--picture", picture, "--suite", str(suite.folder))
    assert said.status == 0, said
    assert said.out.count("by mean rank") == 2
    assert said.out.endswith(f"picture {picture}\n")
    assert picture.stat().st_size > 1000


def test_runs_are_compared_over_sentences(
    bench: CommandLine, suite: Suite, records: dict[str, Record]
) -> None:
    both = [records["good"].id, records["bad"].id]
    options = ("--resamples", "500", "--suite", str(suite.folder))
    said = bench("compare", *both, *options, "--format", "json")
    assert said.status == 0, said
    found: dict[str, Any] = json.loads(said.out)
    assert found["units"].startswith("150 sentences of ")
    (pair,) = found["pairs"]
    assert [test["name"] for test in pair["tests"]] == ["paired bootstrap", "sacreBLEU"]
    assert pair["tests"][1]["p"] == pytest.approx(1 / 1001)
    assert pair["tests"][1]["detail"] == "1,000 resamples, seed 12345"
    assert pair["outcome"] == "better"
    text = bench("compare", *both, *options, "--format", "text").out
    assert "sacreBLEU: its own paired bootstrap of two runs" in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("errors", "gru-1234", "--num-groups", "0"), "--num-groups 0: give 1 or more"),
        (
            ("errors", "gru-1234", "lstm-1234", "--picture", "a.svg"),
            "draw them one by one",
        ),
        (("errors", "gru-1234", "--split", "valid", "--picture", "none"), "run gru-12345678-s1"),
        (
            ("compare", "gru-1234", "srn-1234", "--block-length", "5"),
            "translation is resampled by sentences",
        ),
    ],
)
@pytest.mark.usefixtures("records")
def test_what_cannot_be_shown_is_refused(
    bench: CommandLine, suite: Suite, arguments: tuple[str, ...], message: str
) -> None:
    said = bench(*arguments, "--suite", str(suite.folder))
    assert message in said.err + said.out
    assert said.err.count("\n") <= 1
