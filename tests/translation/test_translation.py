"""The objective `translation`: losses, batches, the measure of a run, the papers' sizes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from tiny_translation import make_corpus, make_objective, make_suite, resolved_in

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.data.tokens import END, START
from bench.runs.run import run
from bench.seq2seq.beam import LengthPenalty
from bench.training.fit import evaluate, fit
from bench.training.objective import DivergedError
from bench.translation.data.batches import TranslationBatches
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.network import TranslationNetwork
from bench.translation.objective import TranslationObjective, as_pairs
from bench.translation.options import NetworkOptions
from bench.translation.outputs import Translations

ADDITIVE = {"attention": "additive", "attend": "before", "readout": "maxout"}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def corpus(suite: Suite) -> ParallelCorpus:
    return make_corpus(suite)


# Sutskever et al. (2014), section 3.4: "384M parameters of which 64M are pure recurrent
# connections"; Bahdanau et al. (2015) print sizes only, whose sum stands here.
@pytest.mark.parametrize(
    ("model", "options", "words", "millions"),
    [
        (
            {"name": "lstm", "hidden_size": 1000, "num_layers": 4},
            {"attention": "none", "readout": "linear", "source_order": "reversed"},
            (160_000, 80_000),
            384,
        ),
        (
            {"name": "gru", "hidden_size": 1000, "direction": "bidirectional"},
            {
                **ADDITIVE,
                "embedding_size": 620,
                "attention_size": 1000,
                "readout_size": 500,
                "handover": "backward",
            },
            (30_000, 30_000),
            80,
        ),
    ],
)
def test_the_papers_networks_have_their_sizes(
    model: dict[str, Any], options: dict[str, Any], words: tuple[int, int], millions: float
) -> None:
    with torch.device("meta"):
        network = TranslationNetwork(
            model,
            NetworkOptions(**options),
            source_size=words[0],
            target_counts_V=torch.ones(words[1]).long(),
        )
    num_weights = sum(parameter.numel() for parameter in network.parameters())
    assert round(num_weights / 1e6) == millions


def test_the_softmax_begins_at_the_words_frequencies(suite: Suite, corpus: ParallelCorpus) -> None:
    objective = TranslationObjective(resolved_in(suite).config, corpus)
    train = corpus.splits["train"]
    bias_V = objective.network.get_parameter("output.bias").detach()
    counts_V = np.bincount(np.concatenate([*train.target, [END] * len(train)]))
    share_V = bias_V.exp()[: len(counts_V)] * (counts_V.sum() + len(bias_V)) - 1
    torch.testing.assert_close(
        share_V.double(), torch.from_numpy(counts_V).double(), atol=1e-2, rtol=0
    )
    assert float(bias_V.argmin()) != END
    assert counts_V[START] == 0


def test_two_processes_make_the_step_of_one(suite: Suite, corpus: ParallelCorpus) -> None:
    for scale in ("token", "sentence"):
        objective = make_objective(suite, corpus, {"objective": {"loss_scale": scale}}).double()
        steps = []
        for world_size in (1, 2):
            loaders = [
                objective.train_loader(rank=rank, world_size=world_size)
                for rank in range(world_size)
            ]
            losses = []
            for loader in loaders:
                batch = next(iter(loader))
                losses.append(objective.update_loss(*objective.batch_loss(batch), batch))
            whole = torch.stack(losses).sum()
            steps.append(torch.autograd.grad(whole, [*objective.network.decoder.parameters()]))
        for one, other in zip(*steps, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("options", [{}, ADDITIVE, {"source_order": "reversed"}])
def test_nothing_depends_on_how_sentences_are_batched(
    suite: Suite, corpus: ParallelCorpus, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    settings = {"objective": {**options, "length_penalty": "gnmt"}}
    objective = make_objective(suite, corpus, settings, model="lstm")
    found, alone = [], torch.empty(0)
    for tokens in (1, 40, 10**6):
        monkeypatch.setattr("bench.translation.objective.EVALUATION_TOKENS", tokens)
        bleu = evaluate(objective, "test").value
        kept = sorted(objective.metric.found.items())
        found.append((bleu, [(place, one[0].text) for place, one in kept]))
        nats = torch.tensor([(nats, hypothesis.log_prob) for _, (hypothesis, nats) in kept])
        alone = nats if tokens == 1 else alone
        torch.testing.assert_close(nats, alone)
    assert found[0] == found[1] == found[2]
    assert len({text for _, text in found[0][1]}) > 6


def test_the_measure_is_that_of_the_configured_search(suite: Suite, corpus: ParallelCorpus) -> None:
    objective = make_objective(suite, corpus, {"objective": {"beam_size": 4}})
    evaluate(objective, "test")
    wide = {place: one[0].log_prob for place, one in objective.metric.found.items()}
    assert objective.search.signature == "beam(4)"
    objective.search = objective.quick_search
    evaluate(objective, "test")
    greedy = {place: one[0].log_prob for place, one in objective.metric.found.items()}
    assert sum(wide.values()) > sum(greedy.values())
    assert (objective.search.signature, objective.metric.name) == ("greedy", "bleu")
    assert objective.metric.signature.startswith("bleu|")
    assert objective.bound == 100.0


@pytest.mark.parametrize(
    ("settings", "signature"),
    [
        ({"beam_size": 1}, "greedy"),
        ({"beam_size": 12}, "beam(12)"),
        ({"beam_size": 5, "length_penalty": "gnmt", "alpha": 0.8}, "beam(5)+gnmt(0.8)"),
        ({"beam_size": 5, "length_penalty": "average"}, "beam(5)+average"),
        ({"beam_size": 2, "max_length_factor": 3.0}, "beam(2)+longest(3)"),
    ],
)
def test_searches_are_named(
    suite: Suite, corpus: ParallelCorpus, settings: dict[str, Any], signature: str
) -> None:
    objective = make_objective(suite, corpus, {"objective": settings})
    assert objective.search.signature == signature
    assert isinstance(objective.search.penalty, LengthPenalty)


def test_validation_chooses_by_bleu_or_loss(suite: Suite, corpus: ParallelCorpus) -> None:
    for choice in ("bleu", "loss"):
        objective = make_objective(suite, corpus, {"objective": {"choose_by": choice}})
        score = evaluate(objective, "valid")
        loss, count = objective.metric.loss.tolist()
        expected = 100 - score.value if choice == "bleu" else loss / count
        assert score.choice == pytest.approx(expected)
        split = corpus.splits["valid"]
        assert count == int(split.target.length_N.sum()) + len(split)


def test_long_pairs_can_be_left_out_of_training(suite: Suite, corpus: ParallelCorpus) -> None:
    train = corpus.splits["train"]
    longer_N = np.maximum(train.source.length_N, train.target.length_N)
    limit = int(np.median(longer_N))
    objective = make_objective(suite, corpus, {"objective": {"longest": limit}})
    loader = objective.train_loader()
    read = [place for batch in loader for place in batch.places.tolist()]
    assert sorted(read) == np.flatnonzero(longer_N <= limit).tolist()
    assert objective.num_train_units == sum(objective.units_in(batch) for batch in loader)
    everything = make_objective(suite, corpus)
    assert everything.num_train_units == int(train.target.length_N.sum()) + len(train)


def test_operations_are_counted_by_hand(suite: Suite, corpus: ParallelCorpus) -> None:
    objective = make_objective(suite, corpus, {"model": {"hidden_size": 6}})
    train = corpus.splits["train"]
    num_source, num_target = (
        int(rows.length_N.sum()) + len(train) for rows in (train.source, train.target)
    )
    gru = 2 * 3 * 6 * (6 + 6)
    attended = 2 * (num_source / len(train)) * (6 + 6)
    softmax = 2 * 6 * len(corpus.target.symbols)
    keys = 2 * 6 * 6
    per_token = (gru + keys) * num_source / num_target + gru + attended + 2 * 6 * 12 + softmax
    assert objective.flops_per_unit() == pytest.approx(per_token, abs=1)


def test_teacher_forcing_falls_in_training_only(suite: Suite, corpus: ParallelCorpus) -> None:
    settings = {"objective": {"teacher_forcing": "linear", "teacher_forcing_steps": 10}}
    objective = make_objective(suite, corpus, settings)
    assert objective.teacher_forcing() == 1.0
    objective.train()
    batch = next(iter(objective.train_loader()))
    assert objective.teacher_forcing() == 1.0  # at the first step
    first = float(objective.batch_loss(batch)[0].detach())
    type(objective).global_step = property(lambda _: 7)  # type: ignore[method-assign, assignment]
    try:
        assert objective.teacher_forcing() == pytest.approx(0.3)
        torch.manual_seed(1)
        assert float(objective.batch_loss(batch)[0].detach()) != pytest.approx(first)
    finally:
        del type(objective).global_step


def test_unknown_words_are_replaced_with_attention_only(
    suite: Suite, corpus: ParallelCorpus
) -> None:
    aligned = {"replace_unknown": "aligned"}
    objective = make_objective(suite, corpus, {"objective": aligned})
    assert objective.metric.signature.endswith("|unknown:aligned")
    with pytest.raises(BenchError, match="needs a network with attention"):
        make_objective(suite, corpus, {"objective": {**aligned, "attention": "none"}})


def test_a_batch_has_every_side_and_its_end(suite: Suite, corpus: ParallelCorpus) -> None:
    del suite
    (batch,) = TranslationBatches(corpus.splits["test"], batch_tokens=10**6, order="sorted")
    pairs = as_pairs(batch)
    rows = torch.arange(len(pairs.target))
    assert bool((pairs.target[rows, pairs.target_lengths - 1] == END).all())
    assert bool((pairs.source[rows, pairs.source_lengths - 1] == END).all())


def test_a_run_learns_and_keeps_what_it_made(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    settings = {
        "model": {"hidden_size": 24},
        "trainer": {"max_epochs": 6},
        "optim": {"lr": 0.05},
        "objective": {"dropout_output": 0.1, "choose_by": "loss"},
    }
    record = run(resolved_in(suite, settings), suite)
    assert record.status == "finished"
    losses = [point.loss_valid for point in record.curve]
    assert losses[-1] is not None
    assert losses[0] is not None
    assert losses[-1] < 0.93 * losses[0]
    kept = Translations.read(suite.artifacts(record.task, record.id), "test")
    assert kept is not None
    assert kept.header.search == "beam(3)"
    assert kept.value() == pytest.approx(record.metrics["test"])
    assert len(kept.lines) == 12
    assert all(math.isfinite(line.hypothesis_nats) for line in kept.lines)
    assert record.cost.unit == "token"


def test_a_diverged_network_has_no_finite_loss(suite: Suite, corpus: ParallelCorpus) -> None:
    objective = make_objective(suite, corpus)
    objective.network.get_parameter("output.bias").data[5] = math.nan
    objective.on_validation_epoch_start()
    objective.validation_step(next(iter(objective.evaluation_loader("valid"))), 0)
    assert math.isnan(objective.metric.compute().loss)
    with pytest.raises(DivergedError):
        objective._check_finite(*objective.metric.loss.tolist())


def test_the_objective_is_found_by_its_name(suite: Suite) -> None:
    resolved = resolved_in(suite)
    assert resolved.objective == "translation"
    options = TranslationObjective.Options()
    assert getattr(options, "attention", None) == "general"


def test_training_alone_multiplies_in_the_configured_precision(
    suite: Suite, corpus: ParallelCorpus
) -> None:
    found = {}
    for products in ("float32", "bfloat16"):
        settings = {"trainer": {"products": products}, "model": {"hidden_size": 64}}
        objective = make_objective(suite, corpus, settings)
        torch.manual_seed(1)
        for parameter in objective.parameters():
            torch.nn.init.normal_(parameter, 0.0, 0.1)
        batch = next(iter(objective.train_loader()))
        scored = objective.network.target_log_probs(as_pairs(batch))
        objective.train()
        assert objective.network.output.products == products
        objective.zero_grad()
        objective.backward(objective.update_loss(*objective.batch_loss(batch), batch))
        parts = [p.grad.flatten() for p in objective.parameters() if p.grad is not None]
        found[products] = scored, torch.cat(parts)
    (exact, gradient), (again, rounded) = found.values()
    assert torch.equal(exact, again)
    assert float((rounded - gradient).norm()) < 0.03 * float(gradient.norm())
    assert torch.backends.mkldnn.matmul.fp32_precision != "bf16"  # type: ignore[attr-defined]


class Watched(pl.Callback):
    """Notes what products were in effect in each epoch's training and validation."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = {}

    def on_before_zero_grad(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        self._note(f"training {trainer.current_epoch}", pl_module)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        self._note(f"validation {trainer.current_epoch}", pl_module)

    def _note(self, when: str, module: pl.LightningModule) -> None:
        assert isinstance(module, TranslationObjective)
        self.seen.setdefault(when, set()).add(module.network.output.products)


def test_a_validation_does_not_end_the_rounding_of_training(
    suite: Suite, corpus: ParallelCorpus, tmp_path: Path
) -> None:
    settings = {"trainer": {"products": "bfloat16", "max_epochs": 2}}
    objective, watched = make_objective(suite, corpus, settings).train(), Watched()
    fit(objective, tmp_path, callbacks=[watched])
    assert watched.seen == {
        "training 0": {"bfloat16"},
        "validation 0": {"float32"},
        "training 1": {"bfloat16"},
        "validation 1": {"float32"},
    }
