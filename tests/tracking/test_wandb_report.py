"""The W&B report has the table, sets of runs by model, curves and sweep panels."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import ENTITY, Loopback
from tiny_task import make_suite
from tracked_runs import resolved, run_options

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.runs.run import run
from bench.table import render, task_table
from bench.tracking.wandb_report import publish_report

pytest_plugins = ["surroundings"]
pytestmark = pytest.mark.usefixtures("own_surroundings")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=make_suite(tmp_path / "suite"))


SWEEP = {
    "name": "small",
    "sweep": {"models": ["srn", "gru"], "space": {"optim.lr": {}, "model.hidden_size": {}}},
}


@pytest.fixture
def measured(suite: Suite) -> Suite:
    """Two runs and a sweep's result."""
    for lr in (0.01, 0.02):
        run(resolved(suite, optim={"lr": lr}), suite, run_options("none"))
    folder = suite.folder / "results" / "tiny" / "sweeps"
    folder.mkdir()
    (folder / "small.json").write_text(json.dumps(SWEEP))
    return suite


def parts(tree: Any, key: str) -> Iterator[Any]:
    """Values of a key at any depth."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from parts(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from parts(value, key)


def test_a_report_has_the_table_the_runs_and_the_panels(measured: Suite, server: Loopback) -> None:
    address = publish_report(measured, ["tiny"], entity=ENTITY, project="sequence-bench")
    assert address.startswith(f"{server.url}/{ENTITY}/sequence-bench/reports/")
    (view,) = server.views
    spec = json.loads(view["spec"])
    texts = [text for text in parts(spec, "content") if isinstance(text, str)]
    assert render(task_table(measured, "tiny"), "md") in texts
    names = list(parts(list(parts(spec, "runSets")), "name"))
    assert {"srn", "small"} <= set(names)
    kinds = list(parts(spec, "viewType"))
    for wanted in (
        "Run History Line Plot",
        "Scatter Plot",
        "Parallel Coordinates Plot",
        "Parameter Importance",
    ):
        assert wanted in kinds, wanted
    accessors = list(parts(spec, "accessor"))
    assert "config:optim.value.lr" in accessors
    assert "config:model.value.hidden_size" in accessors


def test_the_same_report_is_updated(measured: Suite, server: Loopback) -> None:
    for _ in range(2):
        publish_report(measured, [], entity=ENTITY, project="sequence-bench")
    first, second = server.views
    assert first["id"] is None
    assert second["id"] == "VmlldzoxMjM="


@pytest.mark.usefixtures("server")
def test_a_report_needs_records_and_its_package(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BenchError, match="no records"):
        publish_report(suite, ["tiny"], entity=ENTITY, project="p")
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(BenchError, match="sequence-bench\\[wandb\\]"):
        publish_report(suite, ["tiny"], entity=ENTITY, project="p")
