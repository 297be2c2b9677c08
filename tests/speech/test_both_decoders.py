"""A CTC run with a beam tells the best path's rate, too, beside its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.runs.run import run
from bench.table.summary import summary

OVERRIDES = {
    "model": {"hidden_size": 8},
    "trainer": {"max_epochs": 1, "threads": 1},
    "objective": {"beam_width": 4},
}


def test_the_best_path_stands_beside_the_beam(tmp_path: Path) -> None:
    suite = Suite(folder=tmp_path)
    beam = run(resolve(suite, "synthetic-speech", model="gru", overrides=OVERRIDES), suite)
    options = {**OVERRIDES, "objective": {"decoder": "best-path"}}
    greedy = run(resolve(suite, "synthetic-speech", model="gru", overrides=options), suite)
    assert beam.beside == {greedy.signature: greedy.metrics}
    assert greedy.beside == {}
    assert f"beside  {greedy.metrics['test']:.2f}  {greedy.signature}" in summary(beam, suite)


def test_validation_in_training_is_by_the_best_path_alone(tmp_path: Path) -> None:
    suite = Suite(folder=tmp_path)
    record = run(resolve(suite, "synthetic-speech", model="gru", overrides=OVERRIDES), suite)
    (signature,) = record.beside
    assert record.curve[-1].valid == pytest.approx(record.beside[signature]["valid"])
