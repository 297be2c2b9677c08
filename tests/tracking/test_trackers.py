"""Options, journal, the guard around backends, samples and lineage."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
import synthetic_records
import torch
from msgspec.structs import replace
from tiny_task import make_suite, settings
from tracked_runs import options

from bench.core.errors import BenchError
from bench.core.record import Point, runs_used
from bench.core.suite import Suite, shipped_folder
from bench.domains import objective_class
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of
from bench.speech.outputs import Header, Recognition, Recognitions
from bench.text.objective import draw_texts
from bench.tracking.guard import GuardedTracker, call_within
from bench.tracking.journal import Journal, rows_of
from bench.tracking.options import TrackOptions, split_place
from bench.tracking.samples import sample_rows
from bench.tracking.tracker import TrackedRun

pytest_plugins = ["surroundings"]
pytestmark = pytest.mark.usefixtures("own_surroundings")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=make_suite(tmp_path / "suite"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, []),
        ({"mode": "online", "job_type": "x"}, ["--track.mode", "online", "--track.job-type", "x"]),
        ({"gradients": "100"}, ["--track.gradients", "100"]),
    ],
)
def test_options_become_words_of_a_command_line(given: dict[str, str], words: list[str]) -> None:
    assert options(**given).words() == words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mod": "online"}, "unknown key 'mod', did you mean 'mode'"),
        ({"mode": "sometimes"}, "none of online, offline, disabled"),
        ({"artifacts": "weights"}, "no artifacts 'weights', but checkpoints"),
        ({"gradients": "-1"}, "gradients"),
    ],
)
def test_invalid_options_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(BenchError, match=words):
        options(**given)


@pytest.mark.parametrize("place", ["project", "a/b/c", "/b", "a/"])
def test_a_place_is_an_entity_and_a_project(place: str) -> None:
    assert split_place("a/b") == ("a", "b")
    with pytest.raises(BenchError, match="ENTITY/PROJECT"):
        split_place(place)


def test_the_journal_has_each_step_once_even_after_a_kill(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append({"a": 1.0}, step=10)
    journal.append({"a": 2.0}, step=20)
    with journal.path.open("a") as file:
        file.write('\n{"step": 30, "numb')
    journal.append({"a": 2.5}, step=20)
    journal.append({"b": float("inf")}, step=10)
    assert [(row.step, row.metrics) for row in journal.rows()] == [
        (10, {"a": 1.0, "b": float("inf")}),
        (20, {"a": 2.5}),
    ]


def test_a_record_s_curve_completes_the_journal(tmp_path: Path) -> None:
    point = Point(epoch=1, step=5, train=None, valid=3.0, lr=0.1)
    record = replace(synthetic_records.make_record(2.0), curve=[point])
    Journal(tmp_path).append({"train/loss": 7.0}, step=4)
    rows = [(row.step, row.metrics) for row in rows_of(record, tmp_path)]
    assert rows == [
        (4, {"train/loss": 7.0}),
        (5, {"epoch/epoch": 1, "epoch/valid": 3.0, "epoch/lr": 0.1}),
    ]


class Failing:
    """A backend that fails at everything and records the attempts."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def fail(*_: Any, **__: Any) -> None:
            self.tried.append(name)
            raise OSError(f"{name}: no\nmore of it")

        return fail


def test_a_failing_backend_is_one_warning_and_is_not_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend: Any = Failing()
    tracker = GuardedTracker(backend, Journal(tmp_path), title="It")
    tracker.log({"a": 1.0}, step=1)
    tracker.log_gradients({}, step=1)
    tracker.finish(synthetic_records.make_record(2.0))
    tracker.abandon()
    assert backend.tried == ["start", "discard"]
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: It failed (start: no)")


def test_a_call_that_never_returns_times_out() -> None:
    with pytest.raises(TimeoutError):
        call_within(0.05, lambda: time.sleep(5))
    nothing: dict[int, None] = {}
    with pytest.raises(KeyError):
        call_within(5, lambda: nothing[0])


def test_drawing_texts_changes_no_state(suite: Suite) -> None:
    run = resolve(suite, "tiny", model="lstm", overrides=settings())
    corpus: Any = corpus_of(run)
    torch.manual_seed(0)
    model: Any = objective_class("text", "language-model")(run.config, corpus)
    before = torch.get_rng_state()
    first, again = draw_texts(model, seed=5), draw_texts(model, seed=5)
    other = draw_texts(model, seed=6)
    assert [line.text for line in first.lines] == [line.text for line in again.lines]
    assert [line.text for line in first.lines] != [line.text for line in other.lines]
    words = {word for line in first.lines for word in line.text.split()}
    assert words <= set(corpus.vocabulary.symbols)
    assert torch.equal(before, torch.get_rng_state())
    assert model.training
    assert model.carried is None


def test_drawn_words_are_as_frequent_as_the_model_says(suite: Suite) -> None:
    """At the beginning of a text, where the distribution is one and the same for all texts."""
    run = resolve(suite, "tiny", model="srn", overrides=settings())
    corpus: Any = corpus_of(run)
    model: Any = objective_class("text", "language-model")(run.config, corpus).eval()
    drawn = draw_texts(model, seed=1, num_texts=20_000, num_symbols=1)
    with torch.no_grad():
        y_BTH, _ = model.recurrence(model.embedding(torch.tensor([[corpus.first_input]])), None)
        p_V = model.output.log_distribution(y_BTH[:, -1])[0].exp()
    firsts = [line.text.split()[0] for line in drawn.lines]
    for word in range(5):
        p = float(p_V[word])
        share = firsts.count(corpus.vocabulary.symbols[word]) / len(firsts)
        assert share == pytest.approx(p, abs=5 * (p * (1 - p) / len(firsts)) ** 0.5)


def test_samples_of_speech_have_references_and_are_evenly_spaced(tmp_path: Path) -> None:
    lines = [
        Recognition(
            utterance=f"u{i}",
            speaker="s",
            reference="a b",
            hypothesis=f"a {i}",
            reference_nats=1.0,
            hypothesis_nats=None,
        )
        for i in range(9)
    ]
    header = Header(signature="x", folding="none", target={label: label for label in "ab012345678"})
    Recognitions(header=header, lines=lines).write(tmp_path, "test")
    tracked = TrackedRun(
        card=Suite(folder=shipped_folder()).card("synthetic-speech"),
        run_id="srn-00000000-s1",
        config={"model": {"name": "srn"}, "objective": {}},
        recipe="default",
        folder=tmp_path,
        job_type="training",
        options=TrackOptions(samples=3),
    )
    table = sample_rows(tracked)
    assert table is not None
    assert list(table.columns) == ["utterance", "reference", "hypothesis"]
    assert table.rows == [["u0", "a b", "a 0"], ["u4", "a b", "a 4"], ["u8", "a b", "a 8"]]
    none = dataclasses.replace(tracked, options=TrackOptions(samples=0))
    assert sample_rows(none) is None


@pytest.mark.parametrize(
    ("parts", "extra", "names"),
    [
        ({}, {}, []),
        ({"init": {"encoder": "ctc-1-s1", "other": "recipe:first"}}, {}, ["ctc-1-s1"]),
        ({"objective": {"evaluation_of": "gru-9d"}}, {}, ["gru-9d-s3"]),
        (
            {"objective": {"evaluation_of": "gru-9d[0,2] srn-1"}},
            {},
            ["gru-9d-s3", "gru-9d-s5", "srn-1-s3"],
        ),
        ({}, {"weight a-s1": 0.5, "weight unigram-cache": 0.1, "decay x": 1.0}, ["a-s1"]),
    ],
)
def test_a_record_names_the_runs_it_was_made_from(
    parts: dict[str, Any], extra: dict[str, float], names: list[str]
) -> None:
    record = synthetic_records.make_record(2.0, seed=3, **parts)
    assert runs_used(replace(record, extra=extra)) == names
