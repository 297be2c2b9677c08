"""Runs of speech from end to end: records, recognitions, stages that begin with other runs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tiny_speech import make_suite

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.outputs import find_outputs
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import run, run_trial
from bench.speech.outputs import Recognitions
from bench.training.checkpoint import load_weights

TASK = "tiny-speech"
STILL: dict[str, Any] = {"name": "sgd", "lr": 1e-30}
"""Training that moves nothing."""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(folder=make_suite(tmp_path_factory.mktemp("suite")))


def resolved(suite: Suite, model: str | None = "srn", **settings: Any) -> Resolved:
    return resolve(suite, TASK, model=model, **settings)


@pytest.fixture(scope="module")
def record(suite: Suite) -> Record:
    return run(resolved(suite), suite)


@pytest.fixture(scope="module")
def calm(suite: Suite) -> Record:
    return run(resolved(suite, None, recipe="calm"), suite)


def test_a_record_says_what_was_measured(record: Record) -> None:
    assert record.metric == "phone-error-rate"
    assert record.signature.endswith("|edits:levenshtein|decoder:beam(5)")
    assert set(record.data) == {"phones", "samples"}
    assert record.bound is not None
    assert 0 <= record.bound < record.metrics["test"]
    assert record.cost.unit == "frame"
    assert "name" not in record.config["objective"]
    for point in record.curve:
        assert point.train is None
        assert point.loss_train is not None
        assert point.loss_valid is not None


def test_kept_recognitions_give_the_rate_of_the_record(suite: Suite, record: Record) -> None:
    for split in ("valid", "test"):
        kept = find_outputs(suite, record, split)
        assert isinstance(kept, Recognitions)
        assert kept.value() == record.metrics[split]
        assert kept.header.signature == record.signature
        path = Recognitions.path(suite.artifacts(TASK, record.id), split)
        edits = [json.loads(line)["edits"] for line in path.read_text().splitlines()[1:]]
        assert edits == kept.units().sums.tolist()


def test_what_is_not_the_record_s_is_refused(suite: Suite, record: Record) -> None:
    path = Recognitions.path(suite.artifacts(TASK, record.id), "valid")
    before = path.read_text()
    path.write_text(re.sub(r'"hypothesis":"[^"]*"', '"hypothesis":"iy"', before))
    with pytest.raises(BenchError, match=r"where the record srn-.* says"):
        find_outputs(suite, record, "valid")
    path.write_text(before[: len(before) // 2])
    with pytest.raises(BenchError, match="damaged"):
        find_outputs(suite, record, "valid")
    path.write_text(before)


def test_a_trial_reports_error_rates_and_never_evaluates_the_test_split(suite: Suite) -> None:
    reported: list[float] = []
    settings = resolved(suite, overrides={"seed": 5})
    trial = run_trial(settings, suite, report=lambda _, value: reported.append(value))
    assert set(trial.metrics) == {"valid"}
    assert trial.bound is None
    assert reported == [point.valid for point in trial.curve]
    assert min(reported) >= 0


def test_the_caller_chooses_the_objective(suite: Suite, record: Record) -> None:
    of_card = resolved(suite, objective="ctc")
    assert of_card.run_id == record.id
    chosen = resolved(suite, objective="transducer")
    assert chosen.run_id != record.id
    assert chosen.config.objective["name"] == "transducer"
    assert chosen.config.objective["prediction_size"] == 5
    spelled = resolved(suite, overrides={"objective": {"name": "transducer"}})
    assert spelled.run_id == chosen.run_id
    assert resolved(suite, recipe="transducer").run_id == chosen.run_id
    measured = run(chosen, suite)
    assert measured.signature.endswith("decoder:beam(5)")
    assert find_outputs(suite, measured, "test").value() == measured.metrics["test"]


@pytest.mark.parametrize(
    ("task", "objective", "message"),
    [
        ("ptb", "ctc", r"'ptb' is not trained by objective 'ctc', but by language-model"),
        (TASK, "ctcc", r"but by ctc or transducer or next-label: did you mean 'ctc'\?"),
        (TASK, "language-model", r"not trained by objective 'language-model'"),
    ],
)
def test_another_objective_is_refused_with_the_list(
    suite: Suite, task: str, objective: str, message: str
) -> None:
    with pytest.raises(BenchError, match=message) as caught:
        resolve(suite, task, model="srn", objective=objective)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "overrides", "message"),
    [
        ("ngram", {}, "the baseline 'ngram' reads text, tiny-speech is speech"),
        ("srn", {"data": {"minimum_count": 2}}, "is speech, which knows no minimum-count"),
        ("srn", {"data": {"path": "there"}}, "tiny-speech is generated and reads no files"),
    ],
)
def test_what_is_for_text_is_refused(
    suite: Suite, model: str, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        run(resolved(suite, model, overrides=overrides), suite)


def test_a_second_stage_begins_where_the_first_ended(suite: Suite, calm: Record) -> None:
    noisy = resolved(suite, None, recipe="noisy", overrides={"optim": STILL})
    assert noisy.config.init == {"model": "recipe:calm"}
    again = run(noisy, suite)
    assert again.config["init"] == {"model": "recipe:calm"}
    assert again.metrics == calm.metrics


def test_a_stage_that_is_missing_is_named_with_its_command(suite: Suite) -> None:
    noisy = resolved(suite, None, recipe="noisy", overrides={"seed": 9})
    with pytest.raises(
        BenchError, match=r"init\.model: run lstm-.*-s9 comes first: .* --recipe calm --seed 9$"
    ):
        run(noisy, suite)


def test_a_transducer_begins_with_an_encoder_and_a_prediction_network(
    suite: Suite, calm: Record
) -> None:
    phones = run(resolved(suite, None, recipe="phones"), suite)
    assert phones.metric == "perplexity"
    assert phones.cost.unit == "label"
    assert phones.bound is not None
    assert phones.metrics["test"] > phones.bound
    settings = {"overrides": {"optim": STILL}, "recipe": "pretrained"}
    pretrained = run(resolved(suite, None, **settings), suite)
    by_name = {"overrides": {"optim": STILL, "init": {"encoder": calm.id, "prediction": phones.id}}}
    named = run(resolved(suite, None, **{**settings, **by_name}), suite)
    taken, other, encoder, prediction = (
        load_weights(suite.artifacts(TASK, one.id)) for one in (pretrained, named, calm, phones)
    )
    for name, tensor in taken.items():
        part = name.partition(".")[0]
        assert tensor.equal(other[name])
        if part in ("encoder", "prediction"):
            assert tensor.equal({"encoder": encoder, "prediction": prediction}[part][name])
    assert {name.partition(".")[0] for name in taken} == {"encoder", "prediction", "joint"}
