"""A kind of task from outside, and what a run of one kind leaves unloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import CommandLine, program

from bench.core.cards import read_card
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.domains import DOMAINS, all_domains, load_attribute
from bench.runs.outputs import Outputs
from bench.training.baseline import Baseline
from bench.training.objective import Objective

CARD = """\
task: parity
title: Parity of bits
version: 1
objective: parity
description: Say whether the number of ones is odd.
metric: {name: error-rate, direction: min}
protocol: Rows are drawn from a seed.
corpus: {kind: parity, num_bits: 5}
recipes:
  default:
    model: {hidden_size: 6}
    optim: {lr: 0.05}
    trainer: {max_epochs: 3, threads: 1}
"""
QUIET = ("--track", "none", "--quiet")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line with the toy's line in the table of domains."""
    monkeypatch.setitem(DOMAINS, "parity", "toy_domain:DOMAIN")
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "parity.yaml").write_text(CARD)
    return Suite(folder=tmp_path)


def test_every_verb_serves_a_domain_from_outside(bench: CommandLine, suite: Suite) -> None:
    place = ("--suite", suite.folder)

    def said(*words: object) -> str:
        found = bench(*words, *place)
        assert found.status == 0, found
        return found.out

    assert "parity: generated; rows: train 96" in said("data", "parity")
    for model in ("srn", "gru", "always-even"):
        for seed in (1, 2) if model != "always-even" else (1,):
            said("run", "--task", "parity", "--model", model, "--seed", seed, *QUIET)
    runs = {record.model: record.id for record in suite.records("parity")}
    table = said("table", "parity", "--format", "csv")
    assert all(name in table for name in ("srn", "gru", "always-even"))
    compared = said("compare", runs["srn"], runs["gru"], runs["always-even"], "--task", "parity")
    assert "60 rows" in compared
    wrong = said("errors", runs["always-even"])
    assert f"{runs['always-even']}: " in wrong
    said("evaluate", runs["gru"], "--mode", "backwards", "--track", "none")
    evaluated = [r for r in suite.records("parity") if "backwards" in r.signature]
    assert len(evaluated) == 1
    assert evaluated[0].metrics["test"] >= 0
    said("report", "--out", suite.folder / "report.html")
    page = (suite.folder / "report.html").read_text()
    assert "row 60" in page
    assert runs["gru"] in page


def test_outputs_that_are_gone_are_regenerated(bench: CommandLine, suite: Suite) -> None:
    place = ("--suite", suite.folder)
    bench("run", "--task", "parity", "--model", "srn", *QUIET, *place)
    (record,) = suite.records("parity")
    path = suite.artifacts("parity", record.id) / "labels-test.jsonl"
    kept = path.read_bytes()
    path.unlink()
    assert bench("errors", record.id, *place).status == 0
    assert path.read_bytes() == kept
    path.write_bytes(kept.replace(b'"parity":0', b'"parity":1', 1))
    assert record.id in bench("errors", record.id, *place).only_line


def test_a_killed_run_of_it_goes_on_to_the_same_bytes(
    bench: CommandLine, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toy_domain.objective import ParityObjective

    train = ParityObjective.training_step

    def interrupted(self: ParityObjective, batch: Any, batch_idx: int) -> Any:
        if (self.current_epoch, batch_idx) == (1, 2):
            raise KeyboardInterrupt
        return train(self, batch, batch_idx)

    run = ("run", "--task", "parity", "--model", "srn", *QUIET, "--suite", suite.folder)
    monkeypatch.setattr(ParityObjective, "training_step", interrupted)
    assert bench(*run).status != 0
    assert suite.records("parity") == []
    monkeypatch.setattr(ParityObjective, "training_step", train)
    assert bench(*run).status == 0
    (record,) = suite.records("parity")
    weights = torch.load(suite.artifacts("parity", record.id) / "weights.pt", weights_only=True)
    assert bench(*run, "--again").status == 0
    (again,) = suite.records("parity")
    anew = torch.load(suite.artifacts("parity", again.id) / "weights.pt", weights_only=True)
    assert again.metrics == record.metrics
    assert all(torch.equal(weights[name], anew[name]) for name in weights | anew)


def test_a_tag_of_no_domain_names_those_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "parity.yaml"
    path.write_text(CARD)
    with pytest.raises(BenchError, match=r"corpus.kind: 'parity' is none of text"):
        read_card(path)


SCRIPT = """
import json, sys
from bench.cli import main
try: main()
except SystemExit as end: assert not end.code
print(json.dumps(sorted(name for name in sys.modules if name.startswith("bench."))))
"""
SMALL = ("--model.hidden-size", "4", "--model.context-size", "2", "--trainer.max-epochs", "1")


def loaded_by(*words: object, folder: Path, data: Path) -> list[str]:
    """Modules of `bench` that a command has imported when it ends."""
    call = (*words, *QUIET, "--suite", folder)
    said = program(*call, folder=folder, script=SCRIPT, BENCH_DATA=str(data))
    assert said.status == 0, said
    loaded: list[str] = json.loads(said.out.splitlines()[-1])
    return loaded


@pytest.mark.parametrize(
    "words",
    [
        ("synthetic-text", "--model", "scrn", *SMALL),
        ("ptb", "--model", "ngram", "--model.order", "1"),
    ],
)
def test_a_run_of_text_imports_no_other_kind(
    words: tuple[str, ...], tmp_path: Path, bench_data: Path
) -> None:
    loaded = loaded_by("run", "--task", *words, folder=tmp_path, data=bench_data)
    assert "bench.text.data.corpus" in loaded
    others = {"speech", "translation", "captioning", "frames", "seq2seq"}
    assert [name for name in loaded if name.split(".")[1] in others] == []


@pytest.mark.parametrize("kind", DOMAINS)
def test_an_index_names_classes_of_the_contract(kind: str) -> None:
    (domain,) = (each for each in all_domains() if each.kind == kind)
    for base, targets in (
        (Objective, domain.objectives),
        (Baseline, domain.baselines),
        (Outputs, domain.outputs),
    ):
        for name, target in targets.items():
            assert issubclass(load_attribute(target), base), name
    assert set(domain.outputs) <= set(domain.objectives)
    functions = [domain.load, domain.inspect, domain.contestants, domain.images]
    functions += [each.run for each in domain.evaluations.values()]
    assert all(callable(load_attribute(target)) for target in functions if target is not None)
