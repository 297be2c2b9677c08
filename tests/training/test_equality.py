"""Two processes with a part of each batch make the losses and weights of one with the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from equality import CASES, NUM_STEPS, VARIANTS
from torch import Tensor

from bench.core.record import Record, read_record

TESTS = Path(__file__).parents[1]


def cases_of(names: Iterable[str]) -> pytest.MarkDecorator:
    """The test for each of the cases; variants of an objective take their time."""
    slow = [pytest.param(name, marks=pytest.mark.slow) for name in names if name in VARIANTS]
    return pytest.mark.parametrize("case", [*(n for n in names if n not in VARIANTS), *slow])


EACH = cases_of(CASES)


@pytest.fixture(scope="module")
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what trainings by one process and by two have left, of all cases to test."""
    tests: list[Any] = [item for item in request.session.items if item.path == request.path]
    names = dict.fromkeys(test.callspec.params["case"] for test in tests)
    folder = tmp_path_factory.mktemp("equality")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("equality.py")), str(folder), *names],
        env={
            **os.environ,
            "BENCH_CACHE": str(folder / "cache"),
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def both(left: Path, case: str) -> list[dict[str, Any]]:
    return [torch.load(left / f"{case}-{size}" / "left.pt", weights_only=True) for size in (1, 2)]


def close(one: Any, two: Any) -> None:
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5)


@EACH
def test_the_losses_are_those_of_one_process(left: Path, case: str) -> None:
    one, two = (torch.tensor(found["sums"]) for found in both(left, case))
    assert len(one) == NUM_STEPS
    assert torch.equal(one[:, 1:], two[:, 1:])  # predicted and units, over all processes
    close(one[:, 0] / one[:, 1], two[:, 0] / two[:, 1])


@EACH
def test_the_weights_are_those_of_one_process(left: Path, case: str) -> None:
    one, two = both(left, case)
    close(one["weights"], two["weights"])
    assert one["clipped"] == two["clipped"]

    def moved(weights: dict[str, Tensor]) -> float:
        return sum(float((weights[name] - first).abs().sum()) for name, first in begun.items())

    begun = one["first_weights"]
    assert moved(one["weights"]) > 0.1


@cases_of(["optimiser-divided"])
def test_processes_divide_the_optimisers_state(left: Path, case: str) -> None:
    one, two = (found["state_size"] for found in both(left, case))
    assert 0.3 * one < two < 0.7 * one


def records(left: Path, name: str) -> list[Record]:
    folder = left / "results" / "tiny" / "runs"
    return [
        read_record(folder / f"{(left / f'{name}-{size}').read_text()}.json") for size in (1, 2)
    ]


@cases_of(["diverged"])
def test_a_run_that_diverges_does_so_at_the_same_step(left: Path, case: str) -> None:
    one, two = records(left, case)
    assert one.divergence is not None
    assert two.divergence is not None
    assert one.status == two.status == "diverged"
    assert (one.divergence.epoch, one.divergence.step) == (
        two.divergence.epoch,
        two.divergence.step,
    )


@cases_of(["stopped-early"])
def test_a_run_stops_early_after_the_same_epoch(left: Path, case: str) -> None:
    one, two = records(left, case)
    assert len(one.curve) == len(two.curve) < 30
    assert two.metrics["test"] == pytest.approx(one.metrics["test"], rel=1e-3)
    assert two.cost.flops == one.cost.flops


@EACH
def test_the_evaluations_are_those_of_one_process(left: Path, case: str) -> None:
    one, two = (found["curve"] for found in both(left, case))
    assert [point["step"] for point in one] == [point["step"] for point in two]
    for name in (key for key, value in one[-1].items() if value is not None):
        for ours, theirs in zip(one, two, strict=True):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-4)


@EACH
def test_every_example_is_evaluated_once(left: Path, case: str) -> None:
    one, two = both(left, case)
    assert len(one["evaluations"]) == len(two["evaluations"]) >= 1
    for (ours, places), (theirs, also_places) in zip(
        one["evaluations"], two["evaluations"], strict=True
    ):
        assert theirs[1] == ours[1] > 0
        assert theirs[0] == pytest.approx(ours[0], rel=1e-4)
        assert also_places == places


@EACH
def test_the_batches_of_validation_are_shared(left: Path, case: str) -> None:
    """But for a text, which is one stream."""
    one, two = (
        [int((left / f"{case}-{size}" / f"num-evaluated-{r}").read_text()) for r in range(size)]
        for size in (1, 2)
    )
    num_epochs = len(both(left, case)[0]["evaluations"])
    if CASES[case].task == "tiny":
        assert two == 2 * one
    else:
        assert sum(two) == one[0]
        assert two[0] - two[1] == num_epochs  # the number of batches is odd
