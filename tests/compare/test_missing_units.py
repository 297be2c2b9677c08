"""Missing test units: regenerated or noted; seeds are compared all the same."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
from compared_runs import add_run, compared, fill, make_suite

from bench.compare import Comparison, Pair, Reading
from bench.core.record import Record
from bench.core.suite import Suite
from bench.text.outputs import log_probs_path


def only_pair(comparison: Comparison) -> Pair:
    (pair,) = comparison.pairs
    return pair


def test_without_log_probabilities_seeds_are_compared_and_a_note_says_so(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite")
    made = fill(suite)
    for record in made["srn"]:
        log_probs_path(suite.artifacts("toy", record.id), "test").unlink()
    reading = Reading(split="test", missing="leave")
    comparison = compared(suite, "scrn", "srn", reading=reading)
    pair = only_pair(comparison)
    assert [test.name for test in pair.tests] == ["Welch's t", "permutation"]
    assert pair.outcome == "better"
    assert comparison.measurements[0].over_units is not None
    (note,) = comparison.notes
    assert note.startswith("No test units of srn-namesrn-default: per-token log-probabilities")
    assert "`--missing make` regenerates them" in note


def test_without_seeds_or_units_the_pair_is_untested(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite")
    text_N = -np.random.default_rng(0).exponential(4.0, 2000)
    for model in ("scrn", "srn"):
        record = add_run(suite, text_N, model={"name": model})
        log_probs_path(suite.artifacts("toy", record.id), "test").unlink()
    reading = Reading(split="test", missing="leave")
    pair = only_pair(compared(suite, "scrn", "srn", reading=reading))
    assert (pair.outcome, pair.p, pair.tests) == ("untested", None, [])
    assert pair.verdict.startswith("Not tested: ")


def test_log_probabilities_of_another_run_are_noted(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite")
    record = add_run(suite, -np.random.default_rng(0).exponential(4.0, 2000))
    path = log_probs_path(suite.artifacts("toy", record.id), "test")
    np.save(path, np.load(path) - 0.1)
    comparison = compared(suite, "scrn")
    assert "nats a token where the record" in comparison.notes[0]
    assert comparison.measurements[0].over_units is None


def test_missing_units_of_trained_runs_are_regenerated(
    suite: Suite, runs: dict[str, Record]
) -> None:
    said: list[str] = []
    path = log_probs_path(suite.artifacts("text", runs["lstm"].id), "test")
    before = path.read_bytes()
    path.unlink()
    reading = Reading(split="test", say=said.append)
    names = (runs["lstm"].id, runs["ngram"].id)
    comparison = compared(suite, *names, reading=reading, task="text")
    assert path.read_bytes() == before
    assert [note for note in comparison.notes if "are few" not in note] == []
    assert runs["lstm"].id in said[0]
    over_units = comparison.measurements[0].over_units
    assert over_units is not None
    assert over_units.low < runs["lstm"].metrics["test"] < over_units.high


def test_trained_runs_without_weights_are_noted(
    suite: Suite, runs: dict[str, Record], tmp_path: Path
) -> None:
    place = Suite(folder=tmp_path)
    for name in ("srn", "srn-2"):
        target = place.record_path("text", runs[name].id)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(suite.record_path("text", runs[name].id).read_bytes())
    comparison = compared(place, "srn", task="text")
    assert comparison.measurements[0].measured.n == 2
    assert "weights.pt is missing; train it again" in comparison.notes[0]
    assert not (tmp_path / "artifacts").exists()


def test_ranking_has_no_units_yet(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite")
    add_run(suite, -np.ones(2000))
    path = tmp_path / "suite" / "tasks" / "toy.yaml"
    card = msgspec.yaml.decode(path.read_bytes())
    path.write_bytes(msgspec.yaml.encode({**card, "objective": "ranking"}))
    comparison = compared(suite, "scrn")
    assert "'ranking' keep no test units" in comparison.notes[0]
    assert math.isclose(comparison.measurements[0].measured.mean, math.e)
