"""Parts of a run's memory on networks counted by hand, and how the peak is made of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import tiny_task
import torch
from torch import nn

from bench.core.config import OptimConfig, RunConfig, TrainerConfig
from bench.core.suite import Suite
from bench.runs.dry_run import Needs, estimate, in_one_unit, memory_table, needs, optimiser_copies
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of, run
from bench.training.checkpoint import LAST
from bench.training.optimiser import build_optimizer

CPU = torch.device("cpu")
SGD, MOMENTUM = OptimConfig(name="sgd"), OptimConfig(name="sgd", momentum=0.9)
ADAM, ADAMW = OptimConfig(name="adam"), OptimConfig(name="adamw")


def network() -> nn.Module:
    """65 weights, of which 10 are trained, and 3 numbers beside them: 272 bytes."""
    layers = nn.Sequential(nn.Linear(10, 5), nn.Linear(5, 2, bias=False))
    layers[0].requires_grad_(False)
    layers.register_buffer("beside", torch.zeros(3))
    return layers


def needed(optim: OptimConfig = ADAM, *, device_type: str = "cpu", **trainer: Any) -> Needs:
    config = RunConfig(task="t", model={}, optim=optim, trainer=TrainerConfig(**trainer))
    return needs(
        network(),
        config,
        training_step=5000,
        evaluation=300,
        base=10_000,
        device_type=device_type,
    )


def test_parts_are_those_counted_by_hand() -> None:
    found = needed()
    assert (found.weights, found.gradients, found.optimiser) == (272, 40, 80)
    assert (found.best_weights, found.exchange) == (272, 0)
    assert found.checkpoint == 272 + 80 + 272
    assert found.peak == 10_000 + 272 + 40 + 80 + 272 + 5000


@pytest.mark.parametrize(
    ("optim", "copies"), [(SGD, 0), (MOMENTUM, 1), (ADAM, 2), (ADAMW, 2)], ids=str
)
def test_an_optimiser_keeps_as_many_copies_as_it_is_said_to(
    optim: OptimConfig, copies: int
) -> None:
    layer = nn.Linear(10, 10, bias=False)
    optimizer = build_optimizer(optim, layer)
    layer(torch.ones(1, 10)).sum().backward()
    optimizer.step()
    kept = [v for state in optimizer.state.values() for v in state.values() if v is not None]
    assert sum(value.nbytes for value in kept if value.dim()) == copies * 400
    assert optimiser_copies(optim) == copies


def test_the_peak_is_that_of_the_moment_which_takes_most() -> None:
    found = needed()
    in_evaluation = dataclasses.replace(found, training_step=10, evaluation=9000)
    assert in_evaluation.peak == found.peak + 4000
    in_checkpoint = dataclasses.replace(found, training_step=10, evaluation=10)
    assert in_checkpoint.peak == found.peak - 5000 + found.checkpoint
    for each, when in ((found, "in a training step"), (in_evaluation, "in an evaluation"),
                       (in_checkpoint, "while a checkpoint is made")):  # fmt: skip
        table = memory_table(each, host_bytes=each.base, device_type="cpu")
        assert table.splitlines()[-1].endswith(f"  {when}")


def test_in_a_single_epoch_the_best_weights_come_after_training() -> None:
    assert needed(max_epochs=1).peak == needed(max_epochs=2).peak - 272


def test_several_processes_exchange_gradients_and_may_share_the_optimiser() -> None:
    assert needed(devices=2).exchange == 40
    assert needed(devices=2).peak == needed().peak + 40
    shared = needed(devices=2, strategy="zero")
    assert (shared.optimiser, shared.checkpoint) == (40, needed().checkpoint)
    assert needed(MOMENTUM, devices=3, strategy="zero").optimiser == 14  # a rest is somebody's


def test_on_a_gpu_the_file_is_not_on_the_device_but_two_sets_of_best_weights_are() -> None:
    assert needed(device_type="cuda").checkpoint == 272
    assert needed(device_type="cuda", max_epochs=1).checkpoint == 0


def test_sizes_are_in_one_unit_under_each_other() -> None:
    assert in_one_unit([1_000, 2_345_678_901]) == ["    0.0 MB", "2,345.7 MB"]
    assert in_one_unit([1_000_000_000, 20_340_000_000]) == [" 1.0 GB", "20.3 GB"]


@pytest.fixture
def tiny(tmp_path: Path) -> Suite:
    return Suite(folder=tiny_task.make_suite(tmp_path))


@pytest.mark.parametrize("embeddings", ["separate", "tied"])
def test_a_checkpoint_is_as_large_as_it_is_said_to_be(tiny: Suite, embeddings: str) -> None:
    groups: dict[str, dict[str, Any]] = {
        "model": {"hidden_size": 100},
        "objective": {"embeddings": embeddings},
    }
    settings = tiny_task.settings(**groups, trainer={"max_epochs": 1})
    resolved = resolve(tiny, "tiny", model="gru", overrides=settings)
    objective = resolved.objective_class()(resolved.config, corpus_of(resolved))
    found = estimate(objective, CPU)
    num_weights = sum(weight.numel() for weight in objective.parameters())
    assert found.needs.weights == found.needs.gradients == 4 * num_weights
    assert found.needs.optimiser == 8 * num_weights
    run(resolved, tiny)
    written = (tiny.artifacts("tiny", resolved.run_id) / LAST).stat().st_size
    assert written == pytest.approx(found.needs.checkpoint, rel=0.05)
