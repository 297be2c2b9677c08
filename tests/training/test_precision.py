"""Half precision in training: what it touches, what it leaves alone, and what the record says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from objective_cases import OBJECTIVE_CASES, make_suite

from bench.core.config import TrainerConfig
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.domains import objective_class
from bench.layers.products import products_in_effect, training_products
from bench.runs.provenance import provenance
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of, run
from bench.training.fit import fit
from bench.training.objective import Objective
from bench.training.precision import precision_in_effect, set_float32

NUM_STEPS = 10
CASES = OBJECTIVE_CASES | {
    "lstm": OBJECTIVE_CASES["language-model"].but(model="lstm"),
    "peepholes": OBJECTIVE_CASES["language-model"].but(
        model="lstm", options={"peephole": "diagonal"}
    ),
}


class Steps(pl.Callback):
    """Ends a training after `NUM_STEPS` steps; notes the norm of every gradient."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        self.norms.append(module.last_gradient_norm)
        if len(self.norms) == NUM_STEPS:
            trainer.should_stop = True
            trainer.fit_loop.epoch_loop.max_steps = NUM_STEPS


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suite"))


def trained(suite: Suite, folder: Path, case: str, precision: str) -> tuple[Objective, Steps]:
    resolved = CASES[case].resolved(
        suite,
        optim={"name": "sgd", "lr": 0.1, "clip_at": 1.0},
        trainer={"max_epochs": 100, "threads": 1, "precision": precision},
    )
    corpus = corpus_of(resolved)
    pl.seed_everything(1, verbose=False)
    objective, steps = resolved.objective_class()(resolved.config, corpus), Steps()
    fit(objective, folder / precision, callbacks=[steps])
    return objective, steps


@pytest.mark.parametrize("case", CASES)
def test_every_objective_learns_alike_in_half_precision(
    suite: Suite, tmp_path: Path, case: str
) -> None:
    plain, steps = trained(suite, tmp_path, case, "32")
    for precision, tolerance in (("bf16-mixed", 0.05), ("16-mixed", 0.2)):
        mixed, mixed_steps = trained(suite, tmp_path, case, precision)
        assert mixed.train_sums[1] == plain.train_sums[1]
        assert float(mixed.train_sums[0]) == pytest.approx(float(plain.train_sums[0]), rel=0.03)
        # Float16 looks for a scale first; a step whose gradients overflow is left out.
        norm = next(norm for norm in mixed_steps.norms if math.isfinite(norm))
        assert norm == pytest.approx(steps.norms[0], rel=tolerance)
        weights = mixed.state_dict()
        assert all(weight.dtype != torch.float16 for weight in weights.values())
        assert any(not torch.equal(weights[name], w) for name, w in plain.state_dict().items())


def test_training_computes_in_half_precision_and_evaluation_does_not(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    kind: Any = objective_class("text", "language-model")
    read = kind.read

    def watched(self: Any, input_BT: torch.Tensor) -> torch.Tensor:
        y_BTH: torch.Tensor = read(self, input_BT)
        seen[self.training].add(y_BTH.dtype)
        return y_BTH

    monkeypatch.setattr(kind, "read", watched)
    trained(suite, tmp_path, "language-model", "bf16-mixed")
    assert seen == {True: {torch.bfloat16}, False: {torch.float32}}


def test_a_record_says_in_which_precision_it_was_trained(suite: Suite) -> None:
    def record_in(precision: str) -> Any:
        trainer = {"threads": 1, "max_epochs": 1, "precision": precision}
        return run(resolve(suite, "tiny", model="srn", overrides={"trainer": trainer}), suite)

    plain, mixed = record_in("32"), record_in("bf16-mixed")
    assert plain.id != mixed.id
    assert plain.provenance.products == "float32"
    softmax = products_in_effect("bfloat16", torch.device("cpu"))
    assert mixed.provenance.products == f"bf16-mixed, softmax {softmax}"
    assert mixed.config["trainer"]["precision"] == "bf16-mixed"
    assert mixed.signature == plain.signature
    assert mixed.metrics["test"] == pytest.approx(plain.metrics["test"], rel=0.02)


def test_the_softmax_of_half_precision_has_bfloat16_factors() -> None:
    assert training_products(TrainerConfig(precision="bf16-mixed")) == "bfloat16"
    assert training_products(TrainerConfig(precision="16-mixed")) == "float32"
    assert training_products(TrainerConfig(precision="bf16-mixed", products="tf32")) == "tf32"
    assert precision_in_effect(TrainerConfig(), "float32") == "float32"


@pytest.fixture
def switches() -> Iterator[Any]:
    """TF32's, put back in the end."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield lambda: (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_tf32_is_computed_where_it_is_asked_for_only(switches: Any) -> None:
    set_float32(TrainerConfig(products="tf32", accelerator="auto"))
    assert switches() == (True, True)
    set_float32(TrainerConfig(accelerator="gpu"))
    assert switches() == (False, False)
    assert products_in_effect("tf32", torch.device("cpu")) == "float32"
    assert products_in_effect("tf32", torch.device("cuda")) == "tf32 (cuda)"


def test_a_cpu_refuses_tf32(suite: Suite) -> None:
    resolved = resolve(
        suite, "tiny", model="srn", overrides={"trainer": {"products": "tf32", "threads": 1}}
    )
    with pytest.raises(BenchError, match=r"only GPUs compute: add --trainer\.accelerator gpu"):
        run(resolved, suite)


@pytest.mark.usefixtures("switches")
def test_the_record_of_a_gpu_says_whether_it_used_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for products, said in (("float32", "off"), ("tf32", "on")):
        set_float32(TrainerConfig(products=products, accelerator="gpu"))  # type: ignore[arg-type]
        assert provenance().hardware["tf32"] == said
