"""The language model's training and evaluation beside a plain program, in float64."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from tiny_task import make_suite, settings
from torch import Tensor, nn
from watched import Watched

import bench.runs.run
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.data.corpora import load_corpus
from bench.models.recurrence import Recurrence
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import run
from bench.text.data.corpus import TextCorpus
from bench.text.data.prepared import as_text
from bench.text.data.streams import IGNORE, Streams
from bench.text.objective import LanguageModel
from bench.training.fit import evaluate, fit
from bench.training.objective import DivergedError


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(folder=make_suite(tmp_path_factory.mktemp("suite")))


@pytest.fixture(scope="module")
def corpus(suite: Suite) -> TextCorpus:
    return as_text(load_corpus(suite.card("tiny")), task="tiny")


def resolved(suite: Suite, name: str = "srn", **groups: dict[str, Any]) -> Resolved:
    return resolve(suite, "tiny", model=name, overrides=settings(**groups))


def build(
    suite: Suite, corpus: TextCorpus, name: str = "srn", kind: Any = LanguageModel, **groups: Any
) -> LanguageModel:
    torch.manual_seed(5)
    objective: LanguageModel = kind(resolved(suite, name, **groups).config, corpus).double()
    return objective


class Losses(pl.Callback):
    """Keeps what was differentiated at each step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        self.values.append(float(outputs["loss"]))


class Plain(nn.Module):
    """What one writes first: embedding, loop over time, linear layer, cross entropy."""

    def __init__(self, objective: LanguageModel) -> None:
        super().__init__()
        self.embedding = copy.deepcopy(objective.embedding)
        self.recurrence = copy.deepcopy(objective.recurrence)
        vocabulary_size = objective.embedding.num_embeddings
        self.linear = nn.Linear(objective.recurrence.output_size, vocabulary_size).double()
        output: Any = objective.output
        self.linear.load_state_dict({"weight": output.weight, "bias": output.bias})
        if objective.options.embeddings == "tied":
            self.linear.weight = self.embedding.weight

    def forward(self, input_BT: Tensor, target_BT: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Summed loss and the state at the end."""
        y_BTH, state = self.recurrence.forward_reference(self.embedding(input_BT), state)
        scores_NV = self.linear(y_BTH.flatten(0, 1))
        loss = nn.functional.cross_entropy(
            scores_NV, target_BT.flatten(), ignore_index=IGNORE, reduction="sum"
        )
        return loss, state

    def train_as(self, objective: LanguageModel, optimizer: torch.optim.Optimizer) -> list[float]:
        """One epoch; the value differentiated at each step."""
        clip, clip_at = objective.config.optim.clip, objective.config.optim.clip_at
        values, state = [], None
        for input_BT, target_BT in objective.train_loader():
            loss, state = self(input_BT, target_BT, state)
            state = tuple(tensor.detach() for tensor in state)
            scale = {
                "token": int((target_BT != IGNORE).sum()),
                "stream": len(target_BT),
                "sum": 1,
            }[objective.options.loss_scale]
            optimizer.zero_grad()
            (loss / scale).backward()
            if clip == "norm":
                nn.utils.clip_grad_norm_(self.parameters(), clip_at)
            elif clip == "value":
                nn.utils.clip_grad_value_(self.parameters(), clip_at)
            optimizer.step()
            values.append(float(loss.detach() / scale))
        return values


SGD = {"name": "sgd", "lr": 0.5, "schedule": "constant"}
OPTIMIZERS: dict[str, tuple[dict[str, Any], Any]] = {
    "sgd, clipped by norm": (
        {**SGD, "clip": "norm", "clip_at": 0.05},
        lambda p: torch.optim.SGD(p, lr=0.5),
    ),
    "momentum, clipped by value": (
        {**SGD, "momentum": 0.9, "clip": "value", "clip_at": 0.003},
        lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9),
    ),
    "sgd with decay, not clipped": (
        {**SGD, "weight_decay": 0.01, "clip": "none"},
        lambda p: torch.optim.SGD(p, lr=0.5, weight_decay=0.01),
    ),
    "adam": (
        {"name": "adam", "lr": 0.02, "beta1": 0.8, "schedule": "constant"},
        lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.8, 0.999)),
    ),
    "adamw": (
        {"name": "adamw", "lr": 0.02, "weight_decay": 0.1, "schedule": "constant"},
        lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.1),
    ),
}
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("srn", "sgd, clipped by norm", {}),
    ("scrn", "sgd, clipped by norm", {"loss_scale": "stream"}),
    ("scrn", "adam", {"batch_size": 7, "bptt_length": 11}),
    ("lstm", "adamw", {"embeddings": "tied"}),
    ("gru", "momentum, clipped by value", {"loss_scale": "sum"}),
    ("jordan", "sgd with decay, not clipped", {"output_bias": "zero"}),
]


@pytest.mark.parametrize(("model", "optimizer", "options"), CASES)
def test_training_equals_the_plain_program(
    suite: Suite,
    corpus: TextCorpus,
    tmp_path: Path,
    model: str,
    optimizer: str,
    options: dict[str, Any],
) -> None:
    optim, build_optimizer = OPTIMIZERS[optimizer]
    groups: Any = {"objective": options, "optim": optim, "trainer": {"max_epochs": 1}}
    objective = build(suite, corpus, model, **groups)
    plain, losses = Plain(objective), Losses()
    fit(objective, tmp_path, callbacks=[losses])
    assert (objective.num_clipped > 0) == ("clipped by" in optimizer)
    expected = plain.train_as(objective, build_optimizer(list(plain.parameters())))
    assert len(expected) >= 5
    np.testing.assert_allclose(losses.values, expected, rtol=1e-9)
    weights = objective.state_dict()
    for name, tensor in plain.state_dict().items():
        ours = weights[name.replace("linear.", "output.")]
        torch.testing.assert_close(ours, tensor, rtol=1e-8, atol=1e-10, msg=name)


def test_tied_embeddings_are_one_matrix(suite: Suite, corpus: TextCorpus) -> None:
    objective = build(suite, corpus, objective={"embeddings": "tied"})
    output: Any = objective.output
    assert output.weight is objective.embedding.weight
    with pytest.raises(BenchError, match=r"--objective\.embedding-size 8"):
        build(suite, corpus, objective={"embeddings": "tied", "embedding_size": 5})


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_evaluation_is_one_walk_whatever_the_chunks(
    suite: Suite, corpus: TextCorpus, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    def loader(_: LanguageModel, split: str) -> Streams:
        tokens, first = corpus.splits[split], corpus.first_input
        return Streams(tokens, batch_size=1, bptt_length=chunk, first_input=first)

    objective = build(suite, corpus, "scrn", objective={"dropout_input": 0.5})
    target_N = torch.from_numpy(corpus.splits["test"])
    first = torch.tensor([corpus.first_input])
    input_N = torch.cat([first, target_N[:-1]])
    with torch.no_grad():
        loss, _ = Plain(objective)(input_N[None], target_N[None], None)
    if chunk < 1000:
        monkeypatch.setattr(LanguageModel, "evaluation_loader", loader)
    assert evaluate(objective, "test").value == pytest.approx(
        math.exp(float(loss) / len(target_N)), rel=1e-10
    )


class Around(pl.Callback):
    """Sees what training carries, before and after each validation."""

    def __init__(self) -> None:
        self.num_compared = 0

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        self.before = [tensor.clone() for tensor in module.carried]
        self.random = torch.get_rng_state()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        assert all(map(torch.equal, self.before, module.carried))
        assert torch.equal(self.random, torch.get_rng_state())
        self.num_compared += len(self.before)


def test_validation_leaves_the_carried_state_alone(
    suite: Suite, corpus: TextCorpus, tmp_path: Path
) -> None:
    around = Around()
    fit(build(suite, corpus, "scrn"), tmp_path, callbacks=[around])
    assert around.num_compared == 2 * 2


def test_a_recurrence_that_reads_ahead_is_refused_by_name(suite: Suite, corpus: TextCorpus) -> None:
    with pytest.raises(BenchError, match=r"lstm .*reads later words.*--model\.direction forward"):
        build(suite, corpus, "lstm", model={"direction": "bidirectional"})


class Through(Recurrence):
    """Puts out what it reads."""

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ()

    def step(self, x_BD: Tensor, state: Any) -> tuple[Tensor, Any]:
        return x_BD, state

    def flops_per_step(self) -> int:
        return 0


@pytest.mark.parametrize("mask", ["step", "sequence"])
@pytest.mark.parametrize("where", ["dropout_input", "dropout_output"])
def test_dropout_draws_a_mask_a_step_or_one_for_the_chunk(
    suite: Suite, corpus: TextCorpus, monkeypatch: pytest.MonkeyPatch, where: str, mask: str
) -> None:
    objective = build(suite, corpus, objective={where: 0.25, "dropout_mask": mask})
    objective.recurrence = Through(8, 8)
    nn.init.ones_(objective.embedding.weight)
    seen: list[Tensor] = []

    def loss(h_NH: Tensor, _: Tensor) -> tuple[Tensor, int]:
        seen.append(h_NH)
        return h_NH.sum(), len(h_NH)

    monkeypatch.setattr(objective.output, "loss", loss)
    batch = torch.zeros(6, 9, dtype=torch.int64)
    objective.train()
    objective.batch_loss((batch, batch))
    objective.eval()
    objective.batch_loss((batch, batch))
    dropped_BTH, whole_BTH = (h_NH.reshape(6, 9, 8) for h_NH in seen)
    assert torch.equal(whole_BTH, torch.ones_like(whole_BTH))
    assert set(dropped_BTH.flatten().tolist()) == {0.0, 1.0 / 0.75}
    assert torch.equal(dropped_BTH, dropped_BTH[:, :1].expand_as(dropped_BTH)) == (
        mask == "sequence"
    )
    assert not torch.equal(dropped_BTH[0], dropped_BTH[1])


def test_a_dropped_word_is_gone_from_the_whole_batch(suite: Suite, corpus: TextCorpus) -> None:
    objective = build(suite, corpus, objective={"dropout_words": 0.5})
    objective.recurrence = Through(8, 8)
    nn.init.ones_(objective.embedding.weight)
    input_BT = torch.arange(20).repeat(3, 2)
    y_BTH = objective.train().read(input_BT)
    assert set(y_BTH.flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(y_BTH, y_BTH[:1, :1].expand_as(y_BTH)) is False
    of_word_BTH = y_BTH[:, :20]
    assert torch.equal(of_word_BTH, y_BTH[:, 20:])
    assert torch.equal(of_word_BTH, of_word_BTH[:1].expand_as(of_word_BTH))


class Scripted(LanguageModel):
    """Trains as ever, but its validation losses are dictated, one an epoch."""

    script: tuple[float, ...] = ()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.metric.update(torch.tensor(self.script[len(self.curve)]), torch.tensor(1.0))


def dictated(*losses: float) -> type[Scripted]:
    """A language model whose validations come out as `losses`."""

    class Dictated(Scripted):
        script = losses

    return Dictated


class Epochs(pl.Callback):
    """Keeps the weights and the learning rate with which each epoch begins and ends."""

    def __init__(self) -> None:
        self.begun: list[Tensor] = []
        self.ended: list[Tensor] = []
        self.lr: list[float] = []

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self.begun.append(weights_of(module))

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, place: int) -> None:
        if place == 1:
            self.lr.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        self.ended.append(weights_of(module))


def weights_of(objective: LanguageModel) -> Tensor:
    return torch.cat([p.detach().flatten() for p in objective.parameters()]).clone()


def test_training_ends_when_validation_stalls_and_keeps_the_best(
    suite: Suite, corpus: TextCorpus, tmp_path: Path
) -> None:
    groups: Any = {"trainer": {"max_epochs": 9, "stop_after": 2}}
    kind = dictated(3.0, 2.0, 2.5, 2.4, 1.0)
    objective, epochs = build(suite, corpus, kind=kind, **groups), Epochs()
    fit(objective, tmp_path, callbacks=[epochs])
    assert [point["valid"] for point in objective.curve] == [
        pytest.approx(math.exp(loss)) for loss in kind.script[:4]
    ]
    assert torch.equal(weights_of(objective), epochs.ended[1])
    again = build(suite, corpus, kind=kind, **groups)
    fit(again, tmp_path)  # as after a kill between the last epoch and the record
    assert again.curve == objective.curve
    assert torch.equal(weights_of(again), epochs.ended[1])


@pytest.mark.parametrize("back_to_best", [True, False])
def test_the_plateau_schedule_shrinks_and_goes_back_where_asked(
    suite: Suite, corpus: TextCorpus, tmp_path: Path, back_to_best: bool
) -> None:
    optim = {"schedule": "plateau", "lr": 0.01, "shrink": 4.0, "back_to_best": back_to_best}
    kind = dictated(3.0, 2.0, 2.5, 1.5)
    objective = build(suite, corpus, kind=kind, optim=optim, trainer={"max_epochs": 4})
    epochs = Epochs()
    fit(objective, tmp_path, callbacks=[epochs])
    assert epochs.lr == [0.01, 0.01, 0.01, 0.0025]
    assert torch.equal(epochs.begun[2], epochs.ended[1])
    assert torch.equal(epochs.begun[3], epochs.ended[1 if back_to_best else 2])
    assert torch.equal(weights_of(objective), epochs.ended[3])


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_validation_that_leaves_the_numbers_is_a_divergence(
    suite: Suite, corpus: TextCorpus, tmp_path: Path, loss: float
) -> None:
    kind = dictated(loss)
    objective = build(suite, corpus, kind=kind)
    with pytest.raises(DivergedError) as caught:
        fit(objective, tmp_path)
    assert (caught.value.epoch, caught.value.step) == (0, len(objective.train_loader()))


def test_the_test_split_is_read_once_when_training_is_over(
    suite: Suite, corpus: TextCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    watched = dataclasses.replace(corpus, splits=Watched(corpus.splits, asked))
    monkeypatch.setattr(bench.runs.run, "load_corpus", lambda *_, **__: watched)

    def watched_fit(*arguments: Any, **named: Any) -> None:
        fit(*arguments, **named)
        asked.append("trained")

    monkeypatch.setattr("bench.training.train.fit", watched_fit)
    record = run(resolved(suite), suite)
    assert set(record.metrics) == {"valid", "test"}
    assert asked.count("test") == 1
    assert asked.index("test") > asked.index("trained")
