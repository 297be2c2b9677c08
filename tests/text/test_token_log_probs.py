"""Per-token log-probabilities: kept by every run, made again from weights or by counting."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.finished import bring_back, find_run, load_objective
from bench.runs.run import corpus_of
from bench.text.data.prepared import as_text
from bench.text.objective import LanguageModel
from bench.text.outputs import log_probs_path, read_log_probs, token_log_probs, write_log_probs

NAMES = ["srn", "lstm", "scrn", "ngram"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["valid", "test"])
def test_their_mean_is_the_records_value(
    suite: Suite, runs: dict[str, Record], name: str, split: str
) -> None:
    log_probs_N = token_log_probs(suite, runs[name], split)
    assert math.exp(-log_probs_N.mean()) == pytest.approx(runs[name].metrics[split], rel=1e-6)
    corpus = as_text(corpus_of(bring_back(suite, runs[name]).resolved), task="text")
    assert len(log_probs_N) == len(corpus.splits[split])


def test_each_is_the_probability_of_its_own_token(suite: Suite, runs: dict[str, Record]) -> None:
    finished = find_run(suite, runs["scrn"].id)
    corpus = as_text(corpus_of(finished.resolved), task="text")
    model = load_objective(finished, corpus)
    assert isinstance(model, LanguageModel)
    target_N = torch.from_numpy(corpus.splits["test"])
    input_N = torch.cat([torch.tensor([corpus.first_input]), target_N[:-1]])
    with torch.no_grad():
        y_1NH, _ = model.recurrence.forward_reference(model.embedding(input_N[None]))
        expected_N = model.output.log_distribution(y_1NH[0])[torch.arange(len(target_N)), target_N]
    kept_N = token_log_probs(suite, runs["scrn"], "test")
    assert kept_N == pytest.approx(expected_N.numpy(), abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_missing_ones_are_made_again_the_same(
    suite: Suite, runs: dict[str, Record], name: str
) -> None:
    path = log_probs_path(suite.artifacts("text", runs[name].id), "test")
    before = path.read_bytes()
    path.unlink()
    token_log_probs(suite, runs[name], "test")
    assert path.read_bytes() == before


def copied(suite: Suite, record: Record, folder: Path) -> Suite:
    """A suite of its own with one run in it."""
    place = Suite(folder=folder)
    for path in (suite.record_path("text", record.id),):
        target = place.record_path("text", record.id)
        target.parent.mkdir(parents=True)
        shutil.copy(path, target)
    shutil.copytree(suite.artifacts("text", record.id), place.artifacts("text", record.id))
    return place


def test_without_weights_the_error_says_what_to_do(
    suite: Suite, runs: dict[str, Record], tmp_path: Path
) -> None:
    place = copied(suite, runs["srn"], tmp_path)
    folder = place.artifacts("text", runs["srn"].id)
    (folder / "weights.pt").unlink()
    assert len(token_log_probs(place, runs["srn"], "valid"))
    log_probs_path(folder, "valid").unlink()
    with pytest.raises(BenchError, match=r"weights\.pt is missing; train it again"):
        token_log_probs(place, runs["srn"], "valid")


def test_numbers_that_are_not_the_records_are_refused(
    suite: Suite, runs: dict[str, Record], tmp_path: Path
) -> None:
    place = copied(suite, runs["srn"], tmp_path)
    folder = place.artifacts("text", runs["srn"].id)
    kept_N = read_log_probs(folder, "test")
    assert kept_N is not None
    write_log_probs(folder, "test", kept_N - 0.01)
    with pytest.raises(BenchError, match="nats a token where the record"):
        token_log_probs(place, runs["srn"], "test")
    log_probs_path(folder, "test").write_bytes(b"no array")
    with pytest.raises(BenchError, match="not an array"):
        token_log_probs(place, runs["srn"], "test")


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("name", "message"), [("srm-", "no run"), ("srn-", "may be srn-"), ("", "no run|may be")]
)
def test_names_of_no_run_or_of_several(suite: Suite, name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        find_run(suite, name)


def test_a_run_that_diverged_has_no_model(suite: Suite, runs: dict[str, Record]) -> None:
    diverged = msgspec.structs.replace(runs["srn"], status="diverged", metrics={})
    with pytest.raises(BenchError, match="diverged"):
        bring_back(suite, diverged)


def test_clipped_steps_are_counted(runs: dict[str, Record]) -> None:
    assert 0.0 < runs["srn"].extra["clipped_share"] <= 1.0
    assert np.isfinite(runs["lstm"].extra["clipped_share"])
