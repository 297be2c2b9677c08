"""`bench errors`, `bench compare` and `bench table` of captions, from what runs kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine
from made_captions import TASK, add_run, images, make_suite, people, scored

from bench.captioning.metrics.scores import METRICS
from bench.captioning.outputs import AGREEMENT, Captions, agreement
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.outputs import ErrorOptions, find_outputs


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(Suite(folder=tmp_path_factory.mktemp("captions") / "suite"))


@pytest.fixture(scope="module")
def records(suite: Suite) -> dict[str, Record]:
    return {
        "good": add_run(suite, scored(spoilt=0.05, copies=10), model="gru"),
        "bad": add_run(suite, scored(spoilt=0.9, copies=2), model="srn"),
        "people": add_run(suite, people(images("test", seed=5)), model="human"),
        "other": add_run(suite, scored(described=images("other", seed=8)), model="lstm"),
    }


def found(suite: Suite, record: Record, **options: Any) -> Captions:
    outputs = find_outputs(suite, record, "test", **options)
    assert isinstance(outputs, Captions)
    return outputs


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_what_is_kept_has_the_scores_of_the_run(suite: Suite, records: dict[str, Record]) -> None:
    for record in records.values():
        made = found(suite, record)
        assert made.value() == pytest.approx(record.metrics["test"])
        values = {s.partition("|")[0]: v["test"] for s, v in record.beside.items()}
        copies = values.pop("copies")
        assert made.scores.values == pytest.approx({**values, "cider": record.metrics["test"]})
        assert made.header.copying.identical_percent == pytest.approx(copies)
        is_copy = [line.is_copy for line in made.lines]
        assert 100 * np.mean(is_copy) == pytest.approx(copies)


def test_lines_say_what_was_copied_and_from_where(suite: Suite, records: dict[str, Record]) -> None:
    lines = found(suite, records["good"]).lines
    assert [line.image for line in lines] == [f"test-{i}.jpg" for i in range(40)]
    assert [line.nearest_image for line in lines[:10]] == [f"train-{i}.jpg" for i in range(10)]
    assert [line.longest for line in lines[:10]] == [9] * 10
    assert max(line.longest for line in lines[10:]) < 9
    assert {line.log_prob for line in lines} == {-9.0}
    assert len(lines[0].references) == 5


def test_people_have_a_line_for_each_turn(suite: Suite, records: dict[str, Record]) -> None:
    made = found(suite, records["people"])
    assert [len(turn) for turn in made.turns] == [40] * 5
    assert {len(line.references) for line in made.lines} == {4}
    assert "|refs:4|" in records["people"].signature
    assert made.header.copying == made.header.people


def test_agreement_is_of_each_reference_with_the_others(
    suite: Suite, records: dict[str, Record]
) -> None:
    made = found(suite, records["good"])
    agreement_U = agreement(made.lines)
    assert agreement_U is not None
    assert np.corrcoef(agreement_U, np.arange(40))[0, 1] < -0.7, "made to agree less and less"
    assert agreement_U.mean() == pytest.approx(records["people"].metrics["test"])
    report = made.errors(ErrorOptions(run="gru", split="test", folder=Path(), num_groups=4))
    (name, curve), *rest = report.curves.items()
    assert (name, rest, report.axis) == (AGREEMENT, [], "CIDEr")
    assert sum(group.size for group in curve) == 40
    assert all(group.low <= group.value <= group.high for group in curve)


def test_samples_are_the_first_turn(suite: Suite, records: dict[str, Record]) -> None:
    made = found(suite, records["good"])
    table = made.samples()
    assert [row.name for row in table.rows] == [line.image for line in made.lines]
    assert np.mean([row.score for row in table.rows]) == pytest.approx(made.value())
    copy, other = table.rows[0], table.rows[-1]
    assert copy.note == "copy"
    assert copy.nearest_image == "train-0.jpg"
    assert other.note == f"{made.lines[-1].longest} of 9 words in a row copied"
    cells = dict(zip(table.columns, copy.cells, strict=True))
    assert cells["image"] == copy.image == "test-0.jpg"
    assert cells["caption"] == cells["nearest in training"] == copy.words[0].text
    assert cells["people"].splitlines() == list(copy.references)
    assert len(found(suite, records["people"]).samples().rows) == 40


def test_tables_and_a_picture(bench: CommandLine, suite: Suite, records: dict[str, Record]) -> None:
    record = records["good"]
    options = ("--num-groups", "4", "--num-examples", "2", "--suite", str(suite.folder))
    said = bench("errors", record.id[:6], *options)
    assert said.status == 0, said
    heading, copying, by_copying, by_agreement, best, worst, picture = said.out.strip().split(
        "\n\n"
    )
    assert record.signature in heading
    assert f"cider {record.metrics['test']:.2f}" in heading
    assert all(f"{metric} " in heading for metric in METRICS)
    assert "in the training captions, % 25.00 0.00" in " ".join(copying.split())
    rows = {line.split()[0]: line.split()[1] for line in by_copying.splitlines()[2:]}
    assert rows == {"all": "40", "copies": "10", "others": "30"}
    assert len(by_agreement.splitlines()) == 2 + 4
    for part, name in ((best, "best"), (worst, "worst")):
        assert part.startswith(f"{name} captions\n")
        assert part.count("  written   ") == part.count("  training  ") == 2
    path = Path(picture.removeprefix("picture "))
    assert path == suite.artifacts(TASK, record.id) / "cider-test.png"
    assert path.stat().st_size > 1000


def test_several_runs_in_one_picture(
    bench: CommandLine, suite: Suite, records: dict[str, Record], tmp_path: Path
) -> None:
    picture = tmp_path / "both.svg"
    both = (records["good"].id, records["bad"].id, "--num-examples", "0")
    said = bench("errors", *both, "--picture", picture, "--suite", str(suite.folder))
    assert said.status == 0, said
    assert said.out.count("by copying") == 2
    assert "best captions" not in said.out
    assert said.out.endswith(f"picture {picture}\n")
    assert picture.stat().st_size > 1000


def test_runs_are_compared_over_images(
    bench: CommandLine, suite: Suite, records: dict[str, Record]
) -> None:
    both = (records["good"].id, records["bad"].id)
    options = ("--resamples", "500", "--format", "json", "--suite", str(suite.folder))
    said = bench("compare", *both, *options)
    assert said.status == 0, said
    comparison: dict[str, Any] = json.loads(said.out)
    assert comparison["units"] == "40 images of 200 reference captions"
    assert "document frequencies" in comparison["method"]
    (pair,) = comparison["pairs"]
    assert (pair["tests"][0]["name"], pair["outcome"]) == ("paired bootstrap", "better")
    first = comparison["measurements"][0]["over_units"]
    assert first["low"] < records["good"].metrics["test"] < first["high"]


@pytest.mark.usefixtures("records")
def test_tables_have_a_column_for_each_score(bench: CommandLine, suite: Suite) -> None:
    said = bench("table", TASK, "--format", "md", "--suite", str(suite.folder))
    assert said.status == 0, said
    for name in ("BLEU-1", "BLEU-4", "CIDEr, plain", "ROUGE-L", "Copies"):
        assert f"| {name} [" in said.out
    header = next(line for line in said.out.splitlines() if line.startswith("| Model"))
    column = [cell.strip().partition(" [")[0] for cell in header.split("|")].index("Copies")
    (row,) = [line for line in said.out.splitlines() if line.startswith("| gru")]
    assert row.split("|")[column].strip() == "25.00"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("errors", "gru-1234", "--num-groups", "0"), "--num-groups 0: give 1 or more"),
        (("errors", "gru-1234", "--num-examples", "-1"), "--num-examples -1: give 0 or more"),
        (("errors", "gru-1234", "lstm-1234", "--picture", "a.svg"), "different units"),
        (("errors", "gru-1234", "--split", "valid"), "run gru-12345678-s1"),
        (("compare", "gru-1234", "srn-1234", "--block-length", "5"), "resampled by images"),
        (("compare", "gru-1234", "human-1234"), "signature"),
    ],
)
@pytest.mark.usefixtures("records")
def test_what_cannot_be_shown_is_refused(
    bench: CommandLine, suite: Suite, arguments: tuple[str, ...], message: str
) -> None:
    said = bench(*arguments, "--suite", str(suite.folder))
    assert message in said.err + said.out
    assert said.err.count("\n") <= 1


def test_captions_that_disagree_with_the_record_or_are_damaged_are_refused(tmp_path: Path) -> None:
    suite = make_suite(Suite(folder=tmp_path / "suite"))
    record = add_run(suite, scored(spoilt=0.1))
    path = Captions.path(suite.artifacts(TASK, record.id), "test")
    other = scored(spoilt=0.8)
    other.keep(path.parent, "test", "beam(5)")
    with pytest.raises(BenchError, match=r"cider .* where the record .* says"):
        found(suite, record)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BenchError, match=r"damaged .* delete it"):
        found(suite, record)
    path.unlink()
    with pytest.raises(BenchError, match="captions of the test split were not kept here"):
        found(suite, record, missing="leave")
