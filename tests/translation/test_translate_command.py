"""`bench translate`, `bench rescore` and `bench evaluate --mode translate` on trained models."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine, Said
from tiny_translation import make_suite

from bench.core.record import Record, read_record
from bench.core.suite import Suite
from bench.runs.outputs import find_outputs
from bench.translation.outputs import Translations

TASK = "tiny-translation"
RUN = ("run", "--task", TASK, "--model", "gru", "--track", "none", "--quiet")
Piped = Callable[..., Said]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield make_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture
def bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], suite: Suite
) -> Piped:
    """Calls `bench` in the suite's folder with a standard input."""
    call = CommandLine(monkeypatch, capsys)

    def piped(*arguments: object, given: str | bytes = "") -> Said:
        content = given.encode() if isinstance(given, str) else given
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return call(*arguments, "--suite", suite.folder)

    return piped


@pytest.fixture
def runs(bench: Piped, suite: Suite) -> list[Record]:
    """Two seeds; they are trained once."""
    for seed in (1, 2):
        said = bench(*RUN, "--seed", seed)
        assert said.status == 0, said
    return [
        record for record in suite.records(TASK) if "evaluation" not in record.config["objective"]
    ]


def kept_translations(suite: Suite, record: Record) -> Translations:
    found = find_outputs(suite, record, "test")
    assert isinstance(found, Translations)
    return found


def sources(suite: Suite, record: Record) -> list[str]:
    return [line.source for line in kept_translations(suite, record).lines]


def test_lines_are_translated_as_the_run_was_measured(
    bench: Piped, suite: Suite, runs: list[Record], tmp_path: Path
) -> None:
    kept = kept_translations(suite, runs[0]).lines
    reference = tmp_path / "reference"
    reference.write_text("".join(f"{line.reference}\n" for line in kept))
    given = "".join(f"{line.source}\n" for line in kept)
    said = bench("translate", "--run", runs[0].id, "--reference", reference, given=given)
    assert said.status == 0, said
    assert said.out.splitlines() == [line.hypothesis for line in kept]
    found = dict(line.rsplit(" = ", 1) for line in said.err.splitlines())
    assert found[runs[0].signature] == f"{runs[0].metrics['test']:.2f}"
    for signature, values in runs[0].beside.items():
        assert found[signature] == f"{values['test']:.2f}"


def test_a_line_without_words_stays_one(bench: Piped, suite: Suite, runs: list[Record]) -> None:
    line = sources(suite, runs[0])[0]
    alone = bench("translate", "--run", runs[0].id, given=f"{line}\n").out
    said = bench("translate", "--run", runs[0].id, given=f"\n{line}\n  \n{line}")
    assert said.out == f"\n{alone}\n{alone}"


def test_lists_of_an_ensemble_are_rescored_to_the_same(
    bench: Piped, suite: Suite, runs: list[Record], tmp_path: Path
) -> None:
    ensemble = ("--run", runs[0].id, "--run", runs[1].id)
    given = "".join(f"{line}\n" for line in sources(suite, runs[0])[:4])
    source = tmp_path / "source"
    source.write_text(given)
    lists = bench("translate", *ensemble, "--beam", 4, "--num-best", 3, given=given).out
    assert lists.count("\n") == 12
    again = bench(
        "rescore", *ensemble, "--source", source, "--weight", "model=1", given=lists
    ).out.splitlines()
    for before, after in zip(lists.splitlines(), again, strict=True):
        place, text, features, score = before.split(" ||| ")
        assert after.startswith(f"{place} ||| {text} ||| {features} model= ")
        assert float(after.split(" ||| ")[3]) == pytest.approx(float(score), abs=1e-4)
    best = bench("rescore", *ensemble, "--source", source, "--format", "text", given=lists).out
    assert best == bench("translate", *ensemble, "--beam", 4, given=given).out


def test_attention_is_written_and_drawn(
    bench: Piped, suite: Suite, runs: list[Record], tmp_path: Path
) -> None:
    given = "".join(f"{line}\n" for line in ["", *sources(suite, runs[0])[:2]])
    file, folder = tmp_path / "weights.jsonl", tmp_path / "maps"
    said = bench(
        "translate", "--run", runs[0].id, "--attention", file, "--heat-maps", folder, given=given
    )
    assert said.status == 0, said
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["sentence"] for line in lines] == [1, 2]
    for line, source, target in zip(
        lines, given.splitlines()[1:], said.out.splitlines()[1:], strict=True
    ):
        assert line["source"] == [*source.split(), "</s>"]
        assert line["target"] == [*target.split(), "</s>"]
        assert [len(row) for row in line["attention"]] == [len(line["source"])] * len(
            line["target"]
        )
        assert [sum(row) for row in line["attention"]] == pytest.approx(
            [1.0] * len(line["target"]), abs=1e-3
        )
    assert sorted(path.name for path in folder.iterdir()) == ["sentence-1.png", "sentence-2.png"]


def test_an_ensemble_is_recorded(bench: Piped, suite: Suite, runs: list[Record]) -> None:
    names = [record.id for record in runs]
    command = ("evaluate", *names, "--mode", "translate", "--beam", 2, "--track", "none")
    said = bench(*command)
    assert said.status == 0, said
    record = read_record(Path(said.out.strip().split()[-1]))
    objective = record.config["objective"]
    assert objective["evaluation_of"] == f"{names[0].removesuffix('-s1')}[0,1]"
    assert (objective["evaluation_models"], objective["beam_size"]) == (2, 2)
    assert record.signature == runs[0].signature
    assert record.cost.num_parameters == 2 * runs[0].cost.num_parameters
    kept = kept_translations(suite, record)
    assert kept.header.search == "beam(2)"
    lines = bench(
        "translate",
        "--run",
        *names,
        "--beam",
        2,
        given="".join(f"{k.source}\n" for k in kept.lines),
    )
    assert lines.out.splitlines() == [line.hypothesis for line in kept.lines]
    reversed_names = bench("evaluate", *names[::-1], *command[3:])
    assert reversed_names.out == said.out, "the same ensemble, whichever is named first"
    compared = bench("compare", record.id, names[0], "--resamples", 200)
    assert "sacreBLEU" in compared.out
    assert "ensemble of 2: " in bench("table", TASK).out


def test_an_evaluation_of_one_run_as_it_was_measured_is_its_record(
    bench: Piped, runs: list[Record]
) -> None:
    said = bench("evaluate", runs[0].id, "--mode", "translate", "--track", "none")
    record = read_record(Path(said.out.strip().split()[-1]))
    assert record.id != runs[0].id
    assert record.metrics == runs[0].metrics
    assert record.beside == runs[0].beside


def test_errors_of_a_trained_run(bench: Piped, runs: list[Record]) -> None:
    said = bench("errors", runs[0].id, "--num-groups", 2, "--picture", "none")
    assert said.status == 0, said
    assert said.out.count("\nby ") == 3


def test_an_ensemble_needs_equal_vocabularies(
    bench: Piped, suite: Suite, runs: list[Record]
) -> None:
    tasks = suite.folder / "tasks"
    card = (tasks / f"{TASK}.yaml").read_text()
    other = card.replace(TASK, "other-words").replace("num_nouns: 6", "num_nouns: 7")
    (tasks / "other-words.yaml").write_text(other)
    run = ("run", "--task", "other-words", "--model", "srn", "--trainer.max-epochs", 1)
    assert bench(*run, "--track", "none", "--quiet").status == 0
    (record,) = suite.records("other-words")
    said = bench("translate", "--run", runs[0].id, record.id)
    assert f"models {runs[0].id} and {record.id} have" in said.only_line
    assert "source vocabularies" in said.only_line


def test_another_encoding_and_another_number_of_references(
    bench: Piped, runs: list[Record], tmp_path: Path
) -> None:
    said = bench("translate", "--run", runs[0].id, given=b"caf\xe9\n")
    assert "input, line 1: byte 4 of it is not UTF-8" in said.only_line
    reference = tmp_path / "reference"
    reference.write_text("a\nb\n")
    said = bench("translate", "--run", runs[0].id, "--reference", reference, given="a\n")
    assert (said.status, "1 translations and 2 references" in said.err) == (2, True)
