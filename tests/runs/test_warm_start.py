"""Stopwatch with another run's weights: `--init.model RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import make_suite, settings
from torch import Tensor

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import RunOptions, run
from bench.training.checkpoint import load_weights
from bench.training.objective import Objective

STILL: dict[str, Any] = {"name": "sgd", "lr": 1e-30}
"""Training that moves nothing."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(folder=make_suite(tmp_path_factory.mktemp("suite")))


def resolved(suite: Suite, **groups: dict[str, Any]) -> Resolved:
    return resolve(suite, "tiny", model="srn", overrides=settings(**groups))


@pytest.fixture(scope="module")
def trained(suite: Suite) -> Record:
    return run(resolved(suite), suite)


def weights(suite: Suite, record: Record) -> dict[str, Tensor]:
    return load_weights(suite.artifacts("tiny", record.id))


def test_all_weights_come_from_the_run(suite: Suite, trained: Record) -> None:
    record = run(resolved(suite, init={"model": trained.id}, optim=STILL), suite)
    assert record.metrics == trained.metrics
    assert record.config["init"] == {"model": trained.id}
    given, taken = weights(suite, trained), weights(suite, record)
    assert set(given) == set(taken)
    assert all(torch.equal(given[name], taken[name]) for name in given)


def test_a_part_comes_from_the_run_and_the_rest_is_drawn(suite: Suite, trained: Record) -> None:
    record = run(resolved(suite, init={"recurrence": trained.id}, optim=STILL), suite)
    given, taken = weights(suite, trained), weights(suite, record)
    for name in given:
        # Training has moved every matrix of the network that was trained.
        assert torch.equal(given[name], taken[name]) == name.startswith("recurrence."), name


def test_what_it_begins_with_names_the_run(suite: Suite, trained: Record) -> None:
    assert resolved(suite, init={}).run_id == resolved(suite).run_id == trained.id
    assert resolved(suite, init={"model": trained.id}).run_id != trained.id


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"init": {"model": "srn-nobodys-s1"}}, r"init\.model: no weights of a run 'srn-nobodys"),
        ({"init": {"model": "../tiny/{run}"}}, r"no weights of a run '\.\./tiny/.*did you mean"),
        ({"init": {"recurence": "{run}"}}, r"init\.recurence: .* did you mean 'recurrence'\?"),
        (
            {"init": {"model": "{run}"}, "model": {"hidden_size": 9}},
            r"run srn-.*: 'embedding\.weight' is of shape \d+ x 8, this model's is \d+ x 9",
        ),
        (
            {"init": {"recurrence": "{run}"}, "model": {"num_layers": 2}},
            r"init\.recurrence: run srn-.* has no parameter 'layers\.0\.",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    suite: Suite, trained: Record, groups: dict[str, dict[str, Any]], message: str
) -> None:
    init = {part: name.format(run=trained.id) for part, name in groups["init"].items()}
    with pytest.raises(BenchError, match=message) as caught:
        run(resolved(suite, **{**groups, "init": init}), suite)
    assert "\n" not in str(caught.value)


def test_a_resumed_run_goes_on_from_its_checkpoint(
    suite: Suite, trained: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that lent its weights may be gone by then, and they must not come back."""
    whole = resolved(suite, init={"model": trained.id}, optim={"lr": 0.02})
    calm = run(whole, suite)
    begin = Objective.on_train_epoch_end

    def stop_after_the_first(self: Objective) -> None:
        begin(self)
        if self.current_epoch == 1:
            raise InterruptedError

    monkeypatch.setattr(Objective, "on_train_epoch_end", stop_after_the_first)
    with pytest.raises(InterruptedError):
        run(whole, suite, RunOptions(again=True))
    monkeypatch.undo()
    lent: Path = suite.artifacts("tiny", trained.id) / "weights.pt"
    kept = lent.read_bytes()
    lent.unlink()
    try:
        resumed = run(whole, suite)
    finally:
        lent.write_bytes(kept)
    assert resumed.metrics == calm.metrics
    assert resumed.curve == calm.curve
