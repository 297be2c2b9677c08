"""`bench evaluate --mode caption` and `--mode retrieval` on trained captioners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from command_line import CommandLine
from tiny_captioning import TASK, make_suite

from bench.captioning.evaluation import find_captioners, make_captioner
from bench.captioning.outputs import Captions
from bench.core.record import Record
from bench.core.suite import Suite
from bench.data.tokens import END
from bench.runs.ensembles import SearchOverrides

RUN = ("run", "--task", TASK, "--track", "none", "--quiet", "--model")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield make_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], suite: Suite) -> Any:
    call = CommandLine(monkeypatch, capsys)
    return lambda *arguments: call(*arguments, "--suite", suite.folder)


@pytest.fixture
def runs(bench: Any, suite: Suite) -> list[Record]:
    """Two seeds of one configuration and one that attends to other features; trained once."""
    of_grid = ("--data.features", "grid", "--objective.image", "attention")
    for arguments in (("gru", "--seed", 1), ("gru", "--seed", 2), ("lstm", *of_grid)):
        said = bench(*RUN, *arguments)
        assert said.status == 0, said
    records = [record for record in suite.records(TASK) if record.metric == "cider"]
    own = [record for record in records if "evaluation" not in record.config["objective"]]
    return sorted(own, key=lambda record: (record.model, record.seed))


def evaluated(suite: Suite, mode: str) -> list[Record]:
    return [
        record
        for record in suite.records(TASK)
        if record.config["objective"].get("evaluation") == mode
    ]


def test_an_ensemble_is_measured_and_recorded(bench: Any, suite: Suite, runs: list[Record]) -> None:
    names = [record.id for record in runs]
    said = bench("evaluate", *names, "--mode", "caption", "--beam", 3, "--track", "none")
    assert said.status == 0, said
    (record,) = evaluated(suite, "caption")
    objective = record.config["objective"]
    assert objective["evaluation_models"] == 3
    assert objective["beam_size"] == 3
    assert objective["evaluation_of"].split()[0].endswith("[0,1]")
    assert record.signature == runs[0].signature
    kept = Captions.read(suite.artifacts(TASK, record.id), "test")
    assert kept is not None
    assert kept.header.search == "beam(3)+longest(12)"
    assert kept.value() == pytest.approx(record.metrics["test"])
    again = bench("evaluate", *reversed(names), "--mode", "caption", "--beam", 3)
    assert again.status == 0
    assert evaluated(suite, "caption") == [record]


def test_one_run_alone_is_measured_as_it_was(bench: Any, suite: Suite, runs: list[Record]) -> None:
    known = evaluated(suite, "caption")
    said = bench("evaluate", runs[0].id, "--mode", "caption", "--track", "none")
    assert said.status == 0, said
    (record,) = [one for one in evaluated(suite, "caption") if one not in known]
    assert record.metrics == pytest.approx(runs[0].metrics)
    assert record.beside == runs[0].beside


def test_images_and_captions_find_each_other(bench: Any, suite: Suite, runs: list[Record]) -> None:
    said = bench("evaluate", runs[0].id, "--mode", "retrieval", "--track", "none")
    assert said.status == 0, said
    assert "test recall" in said.out
    (record,) = evaluated(suite, "retrieval")
    assert (record.metric, [*record.metrics]) == ("recall", ["test"])
    assert record.signature.endswith("|images:6|captions:12|scores:likelihood/mean|ties:last")
    of = {name: values["test"] for name, values in record.beside.items()}
    captioner = make_captioner(find_captioners(suite, [runs[0].id]), SearchOverrides())
    (network,), split = captioner.networks, captioner.corpus.splits["test"]
    (features,) = captioner.features("test")
    found = np.zeros(len(split.rows), int)
    for place, row in enumerate(split.rows):
        caption = torch.tensor([[*row.tolist(), END]]).expand(len(features), -1)
        lengths = torch.full((len(features),), caption.shape[1])
        log_p_I = network.word_log_probs((features,), caption, lengths).sum(1)
        found[place] = int((log_p_I >= log_p_I[split.image_of[place]]).sum())
    suffix = "|images:6|captions:12|scores:likelihood|ties:last"
    assert of[f"search-r@1{suffix}"] == pytest.approx(100 * (found <= 1).mean())
    assert of[f"search-median-rank{suffix}"] == np.floor(np.median(found))


def test_a_ranking_network_is_trained_by_its_objective(bench: Any, suite: Suite) -> None:
    said = bench(*RUN, "srn", "--objective", "ranking")
    assert said.status == 0, said
    (record,) = [one for one in suite.records(TASK) if one.model == "srn"]
    assert record.metric == "recall"
    assert record.signature.endswith("|scores:ranking(global)|ties:last")
    said = bench("evaluate", record.id, "--mode", "caption")
    assert said.status == 2
    assert "is of ranking: it does not describe images" in said.err
