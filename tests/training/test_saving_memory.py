"""Batches in parts, blocks computed again, sparse gradients: what is learned stays the same."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from objective_cases import OBJECTIVE_CASES, make_suite
from torch import Tensor, nn

from bench.core.config import OptimConfig
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.data.batching import MicroBatches
from bench.domains import objective_class
from bench.models import build_recurrence
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of, run
from bench.training.fit import fit
from bench.training.objective import Objective
from bench.training.optimiser import clip_gradients, exceeds_value

NUM_STEPS = 12
SGD: dict[str, Any] = {"name": "sgd", "lr": 0.1, "clip_at": 1.0}
TEXT = OBJECTIVE_CASES["language-model"].but(objective={"batch_size": 6, "bptt_length": 11})
CASES = {
    **{name: case for name, case in OBJECTIVE_CASES.items() if name != "ranking"},
    "language-model": TEXT,
    "adaptive": TEXT.but(model="lstm", objective={"output": "adaptive"}),
    "by-stream": TEXT.but(model="gru", objective={"loss_scale": "stream"}),
    "noise": OBJECTIVE_CASES["ctc"].but(model="gru", objective={"weight_noise": 0.05}),
}
"""Of objectives that add up over a batch."""


class Steps(pl.Callback):
    """Ends a training after `NUM_STEPS` steps and notes what each has added up."""

    def __init__(self) -> None:
        self.sums: list[Tensor] = []
        self.norms: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == len(self.sums):
            return  # a part of a batch
        self.sums.append(torch.tensor([*module.train_sums, module.train_units]))
        self.norms.append(module.last_gradient_norm)
        if len(self.sums) == NUM_STEPS:
            trainer.should_stop = True
            trainer.fit_loop.epoch_loop.max_steps = NUM_STEPS


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suite"))


@functools.cache
def trained(suite: Suite, case: str, **settings: Any) -> tuple[Objective, Steps]:
    """A training with settings of the trainer and, by `embedding_gradients`, of the optimiser."""
    folder = suite.folder / "-".join([case, *settings, *map(str, settings.values())])
    own = {key: settings.pop(key) for key in ("embedding_gradients",) if key in settings}
    resolved = CASES[case].resolved(
        suite, optim={**SGD, **own}, trainer={"max_epochs": 100, "threads": 1, **settings}
    )
    corpus = corpus_of(resolved)
    pl.seed_everything(1, verbose=False)
    objective, steps = resolved.objective_class()(resolved.config, corpus), Steps()
    fit(objective, folder, callbacks=[steps])
    return objective, steps


def check_alike(plain: tuple[Objective, Steps], other: tuple[Objective, Steps]) -> None:
    ours, theirs = torch.stack(other[1].sums), torch.stack(plain[1].sums)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)
    torch.testing.assert_close(other[1].norms, plain[1].norms, rtol=1e-4, atol=1e-6)
    weights = plain[0].state_dict()
    torch.testing.assert_close(other[0].state_dict(), weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("saving", [{"accumulate": 2}, {"accumulate": 3}, {"recompute_steps": 4}])
def test_memory_is_saved_without_another_result(
    suite: Suite, case: str, saving: dict[str, Any]
) -> None:
    check_alike(trained(suite, case), trained(suite, case, **saving))


def test_sparse_gradients_move_what_dense_ones_move(suite: Suite) -> None:
    sparse = trained(suite, "language-model", embedding_gradients="sparse")
    table = sparse[0].get_submodule("embedding")
    assert isinstance(table, nn.Embedding)
    assert table.sparse
    check_alike(trained(suite, "language-model"), sparse)


@pytest.mark.parametrize("clip", ["norm", "value"])
def test_sparse_gradients_are_clipped_with_the_others(clip: str) -> None:
    config = OptimConfig(name="sgd", clip=clip, clip_at=0.01)  # type: ignore[arg-type]
    norms, gradients = [], []
    for sparse in (False, True):
        torch.manual_seed(1)
        module = nn.Sequential(nn.Embedding(9, 4, sparse=sparse), nn.Linear(4, 3))
        module(torch.tensor([1, 4, 4, 7])).square().sum().backward()
        parameters = list(module.parameters())
        assert exceeds_value(0.01, parameters)
        norms.append(clip_gradients(config, parameters))
        gradients.append([p.grad.to_dense() for p in parameters if p.grad is not None])
        assert not exceeds_value(0.0101, parameters)
    torch.testing.assert_close(norms[1], norms[0])
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize(
    ("optim", "objective", "reason"),
    [
        ({"name": "adamw"}, {}, "only plain SGD leaves words alone"),
        ({"name": "sgd", "momentum": 0.9}, {}, "only plain SGD leaves words alone"),
        ({"name": "sgd"}, {"embeddings": "tied"}, "choose --objective.embeddings separate"),
    ],
)
def test_sparse_gradients_are_refused_where_they_would_teach_something_else(
    suite: Suite, tmp_path: Path, optim: dict[str, Any], objective: dict[str, Any], reason: str
) -> None:
    overrides = {"objective": objective, "optim": {**optim, "embedding_gradients": "sparse"}}
    resolved = resolve(suite, "tiny", model="srn", overrides=overrides)
    network = objective_class("text", "language-model")(resolved.config, corpus_of(resolved))
    with pytest.raises(BenchError, match=reason):
        fit(network, tmp_path)


def test_ranking_refuses_parts(suite: Suite) -> None:
    overrides = {"trainer": {"accumulate": 2}}
    resolved = resolve(
        suite, "tiny-captioning", model="gru", objective="ranking", overrides=overrides
    )
    with pytest.raises(BenchError, match="because it compares every caption of a batch"):
        run(resolved, suite)


def kept_bytes(steps: int | None) -> int:
    """What an LSTM with peepholes keeps for its gradient while it reads."""
    torch.manual_seed(1)
    cell = build_recurrence("lstm", 8, {"hidden_size": 16, "peephole": "diagonal"})
    cell.recompute(steps)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        cell(torch.randn(4, 128, 8))
    return sum(kept.values())


def test_what_is_computed_again_is_not_kept() -> None:
    assert kept_bytes(16) < 0.5 * kept_bytes(None)


def test_batches_come_back_to_their_place_part_by_part() -> None:
    first, second = Numbers(0), Numbers(100)
    parts = MicroBatches([first, second])
    assert len(parts) == 6
    batches = iter(parts)
    assert [next(batches) for _ in range(4)] == [0, 100, 1, 101]
    again = MicroBatches([Numbers(0), Numbers(100)])
    again.load_state_dict(parts.state_dict())
    assert list(again) == [2, 102]
    with pytest.raises(BenchError, match="batches in 2 parts, these are in 1: start the run"):
        MicroBatches([Numbers(0)]).load_state_dict(parts.state_dict())


class Numbers:
    """Three batches, which are numbers."""

    def __init__(self, first: int) -> None:
        self.first, self.place = first, 0

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[int]:
        while self.place < 3:
            self.place += 1
            yield self.first + self.place - 1

    def state_dict(self) -> dict[str, int]:
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.place = state["place"]
