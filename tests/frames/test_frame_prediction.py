"""The objective `frame-prediction`: losses, metrics, batches, what a run keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_frames import make_objective, make_suite, resolved_in
from torch.nn import functional as F

from bench.core.suite import Suite
from bench.frames.data.batches import FrameBatch
from bench.frames.network import to_patches
from bench.frames.objective import FramePrediction
from bench.frames.outputs import PredictedFrames
from bench.runs.run import run
from bench.training.arithmetic import counted_flops_per_unit
from bench.training.fit import evaluate
from bench.training.metrics import Score
from bench.training.objective import DivergedError


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("frames"))


def first_batch(objective: FramePrediction, split: str = "test") -> FrameBatch:
    return next(iter(objective.evaluation_loader(split)))


def test_the_loss_is_the_cross_entropy_of_the_predicted_pixels(suite: Suite) -> None:
    objective = make_objective(suite, model="conv-lstm")
    batch = first_batch(objective)
    frames = batch.frames.double() / 255
    odds = objective.network(to_patches(frames[:, :4], 3), 3)
    x, p = to_patches(frames[:, 4:], 3), torch.sigmoid(odds)
    expected = -(x * p.log() + (1 - x) * (1 - p).log()).sum()
    loss, count = objective.batch_loss(batch)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    assert int(count) == 12 * 3


def test_teacher_forcing_trains_on_every_next_frame_and_evaluates_alone(suite: Suite) -> None:
    options = {"future": "teacher-forcing"}
    objective = make_objective(suite, {"objective": options}, model="lstm")
    batch = first_batch(objective)
    patches = to_patches(batch.frames.double() / 255, 3)
    odds = objective.network.next_frames(patches[:, :-1])
    expected = F.binary_cross_entropy_with_logits(odds, patches[:, 1:], reduction="sum")
    loss, count = objective.train().batch_loss(batch)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    assert int(count) == 12 * 6
    loss, count = objective.eval().batch_loss(batch)
    assert int(count) == 12 * 3
    free = make_objective(suite, {"objective": {"future": "free-running"}}, model="lstm")
    torch.testing.assert_close(loss, free.batch_loss(batch)[0])
    assert objective.curve_values(2.0, Score(value=1.0, loss=1.0, choice=1.0))["train"] is None


def test_evaluation_adds_up_whatever_the_batches(suite: Suite, tmp_path: Path) -> None:
    objective = make_objective(suite, model="gru").float()
    score = evaluate(objective, "test", keep=tmp_path)
    kept = PredictedFrames.read(tmp_path, "test")
    assert kept is not None
    assert kept.cross_entropy.shape == kept.squared_error.shape == (12, 3)
    assert kept.metrics()["cross-entropy"] == pytest.approx(score.value, rel=1e-9)
    (signature, mse), *others = score.beside.items()
    assert not others
    assert signature == "mse|unit:frame|pixels:sum|given:4|predicted:3|size:12"
    assert kept.metrics()["mse"] == pytest.approx(mse, rel=1e-9)
    batch = first_batch(objective)
    loss, count = objective.batch_loss(batch)
    assert float(loss.detach() / count) == pytest.approx(score.value, rel=1e-5)
    p = torch.sigmoid(objective.network(to_patches(batch.frames[:, :4].float() / 255, 3), 3))
    true = to_patches(batch.frames[:, 4:].float() / 255, 3)
    squared_BK = ((p - true) ** 2).sum((2, 3)).detach().numpy()
    np.testing.assert_allclose(kept.squared_error, squared_BK, rtol=1e-5)


def test_what_is_shown_is_the_first_sequences(suite: Suite, tmp_path: Path) -> None:
    objective = make_objective(suite, model="conv-lstm").float()
    evaluate(objective, "valid", keep=tmp_path)
    kept = PredictedFrames.read(tmp_path, "valid")
    assert kept is not None
    frames = objective.corpus.splits["valid"].frames(np.arange(8))
    np.testing.assert_array_equal(kept.given, frames[:, :4])
    np.testing.assert_array_equal(kept.true, frames[:, 4:])
    squared_nK = ((kept.predicted / 255.0 - kept.true / 255.0) ** 2).sum((2, 3))
    np.testing.assert_allclose(squared_nK, kept.squared_error[:8], rtol=0.02)


def test_the_gradient_does_not_depend_on_how_a_batch_is_shared(suite: Suite) -> None:
    """The parts' gradients add up."""
    objective = make_objective(suite, model="gru")

    def gradient(rank: int, world_size: int) -> torch.Tensor:
        loader = objective.train_loader(rank=rank, world_size=world_size)
        batch = next(iter(loader))
        loss_sum, count = objective.batch_loss(batch)
        of_all = count * batch.num_sequences / len(batch.frames)
        loss = objective.update_loss(loss_sum, of_all, batch)
        return torch.autograd.grad(loss, [objective.network.output.weight])[0]

    both = gradient(0, 2) + gradient(1, 2)
    torch.testing.assert_close(both, gradient(0, 1), rtol=1e-5, atol=1e-7)


def test_the_bound_is_the_noise_alone(suite: Suite) -> None:
    objective = make_objective(suite, model="srn")
    assert objective.bound == pytest.approx(objective.corpus.bound)
    assert 0 < objective.corpus.bound < 15
    assert objective.metric.signature == (
        "cross-entropy|unit:frame|pixels:sum|log:nats|given:4|predicted:3|size:12"
    )


def test_a_loss_far_beyond_half_a_chance_has_diverged(suite: Suite) -> None:
    objective = make_objective(suite, model="srn").float()
    with torch.no_grad():
        objective.network.output.bias.fill_(1e4)
    with pytest.raises(DivergedError):
        objective.train().training_step(first_batch(objective), 0)


@pytest.mark.parametrize(
    ("model", "groups"),
    [
        ("lstm", {"model": {"peephole": "diagonal"}}),
        ("conv-lstm", {"model": {"kernel_size": 3, "num_layers": 2}}),
        ("gru", {"objective": {"reads": "patch", "surround": 1, "future": "free-running"}}),
    ],
)
def test_the_formula_counts_what_is_computed(
    suite: Suite, model: str, groups: dict[str, Any]
) -> None:
    """Gradients that nothing needs are left out: of the inputs, and of a state that is zero."""
    objective = make_objective(suite, groups, model=model).float()
    counted = counted_flops_per_unit(objective, num_batches=1)
    assert 0.6 < counted / (3 * objective.flops_per_unit()) <= 1.001


def test_a_run_learns_and_keeps_its_frames(suite: Suite) -> None:
    groups: dict[str, Any] = {"trainer": {"max_epochs": 4}, "optim": {"lr": 0.05}}
    record = run(resolved_in(suite, groups, model="conv-lstm"), suite)
    first, *_, last = record.curve
    assert last.valid < first.valid
    assert record.bound is not None
    assert record.metrics["test"] > record.bound
    assert record.cost.unit == "frame"
    assert {s.partition("|")[0] for s in record.beside} == {"mse"}
    folder = suite.artifacts(record.task, record.id)
    assert (folder / "frames-test.png").is_file()
    kept = PredictedFrames.read(folder, "test")
    assert kept is not None
    assert kept.metrics()["cross-entropy"] == pytest.approx(record.metrics["test"])
