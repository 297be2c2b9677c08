"""Steps held by parts of batches: what a line tells of the whole, which batches are the largest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny_captioning
import tiny_frames
import tiny_speech
import tiny_task
import tiny_translation
import torch
from torch import Tensor

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.runs.dry_run import Needs, estimate, training_step
from bench.runs.memory import (
    PART_BYTES,
    evaluation_bytes,
    num_rows_in,
    of_all_rows,
    some_rows,
    training_bytes,
)
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of
from bench.training.objective import Objective

MIB = 1 << 20
KINDS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "language-model": (tiny_task, "tiny", {"objective": {"batch_size": 50}}),
    "translation": (tiny_translation, "tiny-translation", {"objective": {"batch_tokens": 300}}),
    "ctc": (tiny_speech, "tiny-speech", {"objective": {"batch_frames": 2000}}),
    "captioning": (tiny_captioning, "tiny-captioning", {"objective": {"batch_tokens": 400}}),
    "frame-prediction": (tiny_frames, "tiny-frames", {"objective": {"batch_size": 20}}),
}


@pytest.fixture(scope="module", params=KINDS)
def objective(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One of each kind, with a few dozen rows a batch."""
    module, task, settings = KINDS[request.param]
    folder: Path = tmp_path_factory.mktemp("suite")
    module.make_suite(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield made(Suite(folder=folder), task, settings)


@pytest.fixture(scope="module")
def plain_needs(tmp_path_factory: pytest.TempPathFactory) -> Needs:
    """Of a run that saves no memory."""
    suite = Suite(folder=tiny_task.make_suite(tmp_path_factory.mktemp("suite")))
    return estimate(made(suite, "tiny", LONG_STEPS), torch.device("cpu")).needs


def made(suite: Suite, task: str, settings: dict[str, Any], model: str = "lstm") -> Objective:
    model_size = {"model": {"hidden_size": 48}}
    resolved = resolve(suite, task, model=model, overrides={**model_size, **settings})
    return resolved.objective_class()(resolved.config, corpus_of(resolved))


class Rows(NamedTuple):
    """A batch as loaders make them."""

    ids: Tensor
    whole: Tensor


def batch_of(num_rows: int) -> Rows:
    return Rows(torch.arange(num_rows), torch.tensor(num_rows))


def test_rows_are_spread_over_the_batch_from_its_first_one() -> None:
    part = some_rows(batch_of(10), 4)
    assert isinstance(part, Rows)
    assert part.ids.tolist() == [0, 2, 5, 7]
    assert int(part.whole) == 10  # of everyone's rows, which stays
    pair = some_rows((torch.arange(3), torch.arange(3)), 3)
    assert [each.tolist() for each in pair] == [[0, 1, 2]] * 2
    assert num_rows_in(pair) == 3


def asked(held: Callable[[int], int], num_rows: int, part_bytes: int) -> tuple[int, list[int]]:
    """The answer for all rows, and of how many it was asked."""
    sizes = []

    def held_by(part: Rows) -> int:
        sizes.append(len(part.ids))
        return held(len(part.ids))

    answer = of_all_rows(held_by, batch_of(num_rows), num_rows=num_rows, part_bytes=part_bytes)
    return answer, sizes


def test_many_bytes_are_told_by_two_small_parts() -> None:
    answer, sizes = asked(lambda n: 500 + 70 * n, 640, part_bytes=10)
    assert answer == 500 + 70 * 640
    assert sizes == [20, 40]


def test_few_bytes_are_counted() -> None:
    answer, sizes = asked(lambda n: n * n, 100, part_bytes=10_000)
    assert answer == 10_000
    assert sizes == [3, 6, 12, 24, 48, 96, 100]
    assert asked(lambda n: n, 1, part_bytes=0) == (1, [1])


def test_a_buffer_that_is_full_does_not_grow_along_the_line() -> None:
    answer, sizes = asked(lambda n: 100 * n + min(n, 30) * 100, 640, part_bytes=5000)
    assert answer == 100 * 640 + 3000
    assert sizes == [20, 40, 80]


def test_the_peak_is_looked_for_where_rows_count_most() -> None:
    answer, sizes = asked(lambda n: max(4000 + n, 70 * n), 640, part_bytes=500)
    assert answer == 70 * 640
    assert sizes == [20, 40, 80, 160]


def test_a_part_tells_of_the_whole(objective: Objective) -> None:
    for batch in objective.train_loader().largest():
        num_rows = num_rows_in(batch)
        assert num_rows >= 10
        found = of_all_rows(
            lambda part: training_bytes(objective, part), batch, num_rows=num_rows, part_bytes=0
        )
        assert found == pytest.approx(training_bytes(objective, batch), rel=0.15)


def test_a_batch_in_parts_takes_a_part_of_the_memory(objective: Objective) -> None:
    (batch, *_) = objective.train_loader().largest()
    (half, *_) = objective.train_loader(rank=0, world_size=2).largest()
    whole_bytes, half_bytes = (training_step(objective, part) for part in (batch, half))
    assert whole_bytes == training_bytes(objective, batch)
    assert 0.4 * whole_bytes < half_bytes < 0.7 * whole_bytes


LONG_STEPS: dict[str, dict[str, Any]] = {
    "model": {"peephole": "diagonal", "hidden_size": 128},
    "objective": {"batch_size": 10, "bptt_length": 100},
}
SAVINGS: dict[str, dict[str, Any]] = {
    "parts": {"trainer": {"accumulate": 5}},
    "blocks": {"trainer": {"recompute_steps": 4}},
    "half": {"trainer": {"precision": "bf16-mixed"}},
}


@pytest.mark.parametrize("saving", SAVINGS)
def test_what_saves_memory_is_estimated_to_do_so(
    tmp_path: Path, plain_needs: Needs, saving: str
) -> None:
    suite = Suite(folder=tiny_task.make_suite(tmp_path))
    settings = {**LONG_STEPS, **SAVINGS[saving]}
    less = estimate(made(suite, "tiny", settings), torch.device("cpu")).needs
    assert 0 < less.training_step < 0.8 * plain_needs.training_step
    assert less.weights == plain_needs.weights


def test_sparse_gradients_count_in_the_step_they_are_made_in(tmp_path: Path) -> None:
    suite = Suite(folder=tiny_task.make_suite(tmp_path))
    dense, sparse = (
        estimate(
            made(suite, "tiny", {"optim": {"name": "sgd", "embedding_gradients": kind}}),
            torch.device("cpu"),
        ).needs
        for kind in ("dense", "sparse")
    )
    table = made(suite, "tiny", {}).get_parameter("embedding.weight")
    assert dense.gradients - sparse.gradients == table.nbytes


def test_a_step_that_was_followed_leaves_nothing(objective: Objective) -> None:
    objective.weight_noise = 0.1
    before = {name: tensor.clone() for name, tensor in objective.state_dict().items()}
    (batch, *_) = objective.train_loader().largest()
    first = training_bytes(objective, batch)
    (valid, *_) = objective.evaluation_loader("valid").largest()
    assert 0 < evaluation_bytes(objective, valid, "valid") < first
    assert training_bytes(objective, batch) == first
    assert all(torch.equal(before[name], t) for name, t in objective.state_dict().items())
    assert all(parameter.grad is None for parameter in objective.parameters())
    assert objective.carried is None
    objective.weight_noise = 0.0


def padded_sizes(batch: Any) -> list[int]:
    """Numbers in the tensors of a batch, padding included."""
    return [part.numel() for part in batch if part.dim()]


@pytest.mark.parametrize("world_size", [1, 2])
def test_no_batch_of_an_epoch_is_larger_than_the_largest(
    objective: Objective, world_size: int
) -> None:
    for loader in (
        objective.train_loader(rank=0, world_size=world_size),
        objective.evaluation_loader("valid"),
    ):
        every = [padded_sizes(batch) for batch in loader]
        largest = [padded_sizes(batch) for batch in loader.largest()]
        for of_every, of_largest in zip(zip(*every, strict=True), zip(*largest, strict=True),
                                        strict=True):  # fmt: skip
            assert max(of_every) == max(of_largest)


def test_a_first_step_without_a_number_is_refused(tmp_path: Path) -> None:
    suite = Suite(folder=tiny_task.make_suite(tmp_path))
    objective = made(suite, "tiny", {}, model="srn")
    with torch.no_grad():
        objective.get_parameter("output.bias").fill_(float("nan"))
    with pytest.raises(BenchError, match="the loss of the first step is no number"):
        training_bytes(objective, objective.train_loader().batch(0))


def test_captions_and_images_are_compared_as_a_whole(tmp_path: Path) -> None:
    suite = tiny_captioning.make_suite(tmp_path)
    objective = made(
        suite, tiny_captioning.TASK, {"objective": {"name": "ranking", "batch_tokens": 100}}
    )
    (batch, *_) = objective.train_loader().largest()
    assert training_step(objective, batch) == training_bytes(objective, batch)
    assert PART_BYTES["cpu"] == 64 * MIB
