"""Names of runs, groups and rows, and runs that cannot be compared."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from compared_runs import add_run, compared, make_suite
from synthetic_records import make_record

from bench.compare.subjects import SEEDLESS, Subject, find_subjects
from bench.core.errors import BenchError
from bench.core.record import Record, write_record
from bench.core.suite import Suite, shipped_folder
from bench.domains import all_baselines, load_attribute

TEXT_N = -np.random.default_rng(0).exponential(4.0, 2000)


def named(suite: Suite, *names: str, task: str | None = "toy") -> list[Subject]:
    return find_subjects(suite, names, task=task, split="test")[0]


@pytest.mark.parametrize(
    ("name", "num_runs"),
    [
        ("scrn-namescrn-default-s2", 1),
        ("scrn-namescrn-default", 3),
        ("scrn-name", 3),
        ("scrn-namescrn-default-", 3),
        ("sc", 3),
        ("ngram", 1),
    ],
)
def test_a_name_is_a_run_or_all_its_seeds(toy: Suite, name: str, num_runs: int) -> None:
    (subject,) = named(toy, name)
    assert len(subject.finished) == num_runs
    assert subject.name.endswith("-s2") == name.endswith("-s2")


def test_a_digest_is_a_group() -> None:
    shipped = Suite(folder=shipped_folder())
    (subject,) = named(shipped, "f8b8b179", task=None)
    assert subject.name == "lstm-f8b8b179"
    assert len(subject.finished) == 3
    assert subject.label == "lstm, hidden_size=100"


@pytest.mark.parametrize(
    ("pattern", "models"),
    [
        ("scrn, hidden_size=100*", ["scrn"]),
        ("SCRN, *", ["scrn"]),
        ("*, hidden_size=100*", ["lstm", "ngram", "scrn", "srn"]),
        ("s*", ["scrn", "srn"]),
    ],
)
def test_a_pattern_selects_every_matching_row(toy: Suite, pattern: str, models: list[str]) -> None:
    found = named(toy, pattern, task="toy")
    assert [subject.finished[0].model for subject in found] == models


def test_labels_select_published_rows_and_unmeasured_ones_are_noted() -> None:
    shipped = Suite(folder=shipped_folder())
    found, notes = find_subjects(shipped, ["LSTM, 2 x *"], task="ptb", split="test")
    assert [subject.label for subject in found] == ["LSTM, 2 x 200, no dropout (small)"]
    told = " ".join(notes)
    assert all(f"LSTM, 2 x {size}" in told for size in (650, 1500))
    with pytest.raises(BenchError, match=r"nothing has measured Mogrifier LSTM yet"):
        named(shipped, "Mogrifier*", task="ptb")


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("scnr-namescrn-default", None, r"no run or group .*did you mean 'scrn-namescrn-default'"),
        ("s", "toy", "'s' may be scrn-namescrn-default or srn-namesrn-default: write more of it"),
        ("lstm, *", None, "rows of a table are named with --task"),
        ("lstn", "toy", "no run or group 'lstn' of task 'toy'"),
        ("scrn", "toyy", "unknown task 'toyy', did you mean 'toy'"),
        ("", None, "no run or group ''"),
    ],
)
def test_unknown_and_ambiguous_names_are_rejected(
    toy: Suite, name: str, task: str | None, message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        named(toy, name, task=task)


def test_a_name_in_two_tasks_needs_the_task(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    for task in ("toy", "ptb"):
        record = msgspec.structs.replace(make_record(50.0), task=task)
        write_record(record, suite.record_path(task, record.id).parent)
    with pytest.raises(BenchError, match="add --task ptb or --task toy"):
        named(suite, "scrn-plain", task=None)
    assert named(suite, "scrn-plain", task="toy")[0].finished[0].task == "toy"


def test_equal_labels_get_their_names(toy: Suite) -> None:
    first, second = named(toy, "srn-namesrn-default-s1", "srn-namesrn-default-s2")
    assert first.label != second.label
    assert first.name in first.label


@pytest.mark.parametrize("names", [("srn", "srn"), ("srn", "srn-namesrn-default-s2")])
def test_a_run_is_not_compared_with_itself(toy: Suite, names: tuple[str, str]) -> None:
    with pytest.raises(BenchError, match="is named twice"):
        named(toy, *names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signature": "perplexity|eval:dynamic"}, "only runs of one signature"),
        ({"data": {"train.txt": "0"}}, "different data"),
        ({"card_version": 2}, "made with version 2 of task 'toy'"),
        ({"metrics": {"valid": 3.0}}, "no value on the test split"),
        ({"status": "diverged", "metrics": {}}, "diverged: it has no value"),
        ({"config": {"model": {"name": "gru"}, "data": {"minimum_count": 2}}}, "different data"),
    ],
)
def test_incomparable_runs_are_rejected(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    suite = make_suite(tmp_path)
    add_run(suite, TEXT_N)
    other: Record = msgspec.structs.replace(make_record(50.0, model={"name": "gru"}), **change)
    write_record(other, suite.record_path("toy", other.id).parent)
    with pytest.raises(BenchError, match=message):
        compared(suite, "scrn", "gru")


def test_runs_of_two_tasks_are_rejected(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    add_run(suite, TEXT_N)
    other = msgspec.structs.replace(make_record(50.0, model={"name": "gru"}), task="ptb")
    write_record(other, suite.record_path("ptb", other.id).parent)
    with pytest.raises(BenchError, match="only runs of one task can be compared"):
        named(suite, "scrn-plain", "gru-namegru", task=None)


def test_diverged_seeds_are_counted(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    add_run(suite, TEXT_N, seed=1)
    diverged = make_record(None, seed=2)
    write_record(diverged, suite.record_path("toy", diverged.id).parent)
    (measurement,) = compared(suite, "scrn").measurements
    assert (measurement.measured.n, measurement.num_diverged) == (1, 1)


def test_seedless_models_exist_and_draw_no_random_numbers() -> None:
    classes = {name: load_attribute(target) for name, target in all_baselines().items()}
    assert set(classes) >= SEEDLESS
    for name, own in classes.items():
        source = inspect.getsource(sys.modules[own.__module__])
        for other in set(classes.values()) - {own}:
            source = source.replace(inspect.getsource(other), "")
        assert (name in SEEDLESS) == ("default_rng" not in source), name
