"""The objective `captioning`: losses, batches, the measure of a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from small_captions import make_config, make_corpus

from bench.captioning.data.batches import CaptionBatches
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.network.captioner import WordRegions, alignments_path
from bench.captioning.network.options import CaptioningOptions
from bench.captioning.objectives.captioning import CaptioningObjective
from bench.captioning.outputs import Captions
from bench.data.tokens import END
from bench.training.fit import evaluate, fit
from bench.training.objective import DivergedError


@pytest.fixture(scope="module")
def corpus() -> CaptionCorpus:
    return make_corpus()


def make(
    corpus: CaptionCorpus, options: dict[str, Any] | None = None, **groups: Any
) -> CaptioningObjective:
    """In evaluation mode, with weights that write varied captions."""
    given = {**msgspec.structs.asdict(CaptioningOptions()), "batch_tokens": 24, **(options or {})}
    torch.manual_seed(3)
    objective = CaptioningObjective(make_config(given, **groups), corpus)
    for parameter in objective.parameters():
        torch.nn.init.uniform_(parameter, -1.5, 1.5)
    return objective.eval()


def test_the_softmax_begins_at_the_words_frequencies(corpus: CaptionCorpus) -> None:
    given = msgspec.structs.asdict(CaptioningOptions())
    objective = CaptioningObjective(make_config(given), corpus)
    counts_V = np.bincount(np.concatenate([*corpus.splits["train"].rows, [END] * 24]))
    bias_V = objective.network.get_parameter("output.bias").detach().double()
    share_V = bias_V.exp() * (counts_V.sum() + len(bias_V)) - 1
    torch.testing.assert_close(share_V, torch.from_numpy(counts_V).double(), atol=1e-2, rtol=0)


def test_features_are_scaled_by_the_training_images(corpus: CaptionCorpus) -> None:
    objective = make(corpus)
    values = corpus.features.rows(corpus.splits["train"].feature_row).astype(np.float64)
    scaled = objective.network.scale(torch.from_numpy(values))
    torch.testing.assert_close(scaled.mean(0), torch.zeros(5).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.var(0, correction=0), torch.ones(5).double())
    grid = make(make_corpus(features="grid"), {"image": "attention"})
    regions = grid.corpus.features.rows(corpus.splits["train"].feature_row).astype(np.float64)
    flat = grid.network.scale(torch.from_numpy(regions)).flatten(0, 1)
    torch.testing.assert_close(flat.var(0, correction=0), torch.ones(5).double())
    unit = make(corpus, {"scaling": "unit"}).network.scale(torch.from_numpy(values))
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(12).double())
    raw = make(corpus, {"scaling": "none"}).network.scale(torch.from_numpy(values))
    assert torch.equal(raw, torch.from_numpy(values))


def test_a_feature_that_never_varies_stays_finite(corpus: CaptionCorpus) -> None:
    network = make(corpus).network
    network.scale.learn(lambda rows: np.full((len(rows), 5), 1e4, np.float32), np.arange(3000))
    scaled = network.scale(torch.full((2, 5), 1e4))
    torch.testing.assert_close(scaled, torch.zeros(2, 5))


@pytest.mark.parametrize("scale", ["token", "caption"])
def test_two_processes_make_the_step_of_one(corpus: CaptionCorpus, scale: str) -> None:
    objective = make(corpus, {"loss_scale": scale}).double()
    steps = []
    for world_size in (1, 2):
        losses = []
        for rank in range(world_size):
            batch = next(iter(objective.train_loader(rank=rank, world_size=world_size)))
            batch = batch._replace(features=batch.features.double())
            losses.append(objective.update_loss(*objective.batch_loss(batch), batch))
        whole = torch.stack(losses).sum()
        steps.append(torch.autograd.grad(whole, [*objective.network.decoder.parameters()]))
    for one, other in zip(*steps, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("options", [{}, {"image": "every-word"}, {"image": "attention"}])
def test_nothing_depends_on_how_images_are_batched(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    corpus = make_corpus(features="grid" if options.get("image") == "attention" else "vector")
    objective = make(corpus, options)
    found = []
    for size in (1, 3, 100):
        monkeypatch.setattr("bench.captioning.objectives.captioning.EVALUATION_IMAGES", size)
        value = evaluate(objective, "test").value
        loss, count = objective.metric.loss.tolist()
        captions = objective.metric.found
        best = [captions[place].tokens for place in sorted(captions)]
        found.append((value, best, round(loss, 3), count))
        assert sorted(captions) == [0, 1, 2, 3]
    assert found[0] == found[1] == found[2]


def test_the_loss_of_a_split_is_over_all_its_captions(corpus: CaptionCorpus) -> None:
    objective = make(corpus)
    evaluate(objective, "valid")
    split = corpus.splits["valid"]
    (batch,) = CaptionBatches(split, corpus.features, batch_tokens=10**6, order="sorted")
    with torch.no_grad():
        loss, count = objective.batch_loss(batch)
    assert objective.metric.loss.tolist() == pytest.approx([float(loss), int(count)])
    assert int(count) == split.num_tokens == int(split.rows.length_N.sum()) + split.num_captions


def test_the_measure_is_that_of_the_configured_search(corpus: CaptionCorpus) -> None:
    objective = make(corpus, {"beam_size": 4})
    metric = objective.metric
    beside = evaluate(objective, "test").beside
    wide = sum(one.log_prob for one in metric.found.values())
    assert objective.search.signature == metric.search == "beam(4)"
    objective.search = objective.quick_search
    evaluate(objective, "test")
    assert wide > sum(one.log_prob for one in metric.found.values())
    assert metric.name == "cider"
    assert metric.signature == metric.scored.signature
    assert metric.signature.startswith("cider|")
    names = [signature.partition("|")[0] for signature in beside]
    assert {"bleu-1", "bleu-4", "rouge-l", "cider-plain", "copies"} <= set(names)


def test_validation_chooses_by_cider_or_loss(corpus: CaptionCorpus) -> None:
    for choice in ("cider", "loss"):
        objective = make(corpus, {"choose_by": choice})
        score = evaluate(objective, "valid")
        loss, count = objective.metric.loss.tolist()
        expected = 1000 - score.value if choice == "cider" else loss / count
        assert score.choice == pytest.approx(expected)
        assert score.loss == pytest.approx(loss / count)


def test_units_are_tokens_with_the_ends(corpus: CaptionCorpus) -> None:
    objective = make(corpus)
    loader = objective.train_loader()
    read = sum(objective.units_in(batch) for batch in loader)
    assert objective.num_train_units == read
    per_caption = objective.network.flops_per_image() * 24 / read
    expected = objective.network.flops_per_word() + per_caption
    assert objective.flops_per_unit() == pytest.approx(expected, abs=1)
    assert objective.unit == "token"


def test_a_network_that_has_diverged_is_told_by_its_loss(corpus: CaptionCorpus) -> None:
    objective = make(corpus)
    objective.network.get_parameter("output.bias").data[5] = math.nan
    objective.on_validation_epoch_start()
    objective.validation_step(next(iter(objective.evaluation_loader("valid"))), 0)
    assert bool(objective.metric.loss[0].isnan())
    assert not objective.metric.found
    score = objective.metric.compute()
    assert math.isnan(score.value)
    assert math.isnan(score.choice)
    with pytest.raises(DivergedError):
        objective.on_validation_epoch_end()


def test_validation_computes_no_score_beside_the_metric(corpus: CaptionCorpus) -> None:
    objective = make(corpus)
    objective.on_validation_epoch_start()
    objective.validation_step(next(iter(objective.evaluation_loader("valid"))), 0)
    assert objective.metric.compute().beside == {}
    assert "training" not in vars(objective.metric.scoring), "counting them takes long"


def test_scheduled_sampling_reads_other_words_in_training_only(corpus: CaptionCorpus) -> None:
    objective = make(corpus, {"teacher_forcing": "linear", "teacher_forcing_floor": 0.0})
    batch = next(iter(objective.train_loader()))
    assert objective.teacher_forcing() == 1.0
    written = [float(objective.batch_loss(batch)[0].detach()) for _ in range(2)]
    assert written[0] == written[1]
    source = (batch.features,)
    torch.manual_seed(1)
    drawn, _ = objective.network.word_loss(
        source, batch.caption, batch.lengths, teacher_forcing=0.0
    )
    assert float(drawn.detach()) != pytest.approx(written[0])


@pytest.mark.parametrize("features", ["vector", "grid"])
def test_a_run_learns_what_is_shown_and_keeps_what_it_wrote(features: Any, tmp_path: Path) -> None:
    corpus = make_corpus(features=features)
    image = "attention" if features == "grid" else "first"
    given = {**msgspec.structs.asdict(CaptioningOptions()), "batch_tokens": 24, "image": image}
    config = make_config(given, optim={"lr": 0.05}, trainer={"max_epochs": 8, "threads": 1})
    torch.manual_seed(1)
    objective = CaptioningObjective(config, corpus)
    fit(objective, tmp_path)
    losses = [point["loss_valid"] for point in objective.curve]
    assert losses[-1] < 0.5 * losses[0]
    value = evaluate(objective, "test", keep=tmp_path).value
    kept = Captions.read(tmp_path, "test")
    assert kept is not None
    assert kept.value() == pytest.approx(value)
    assert [line.image for line in kept.lines] == list(corpus.splits["test"].names)
    assert all(line.log_prob is not None and line.log_prob < 0 for line in kept.lines)
    aligned = alignments_path(tmp_path, "test")
    assert aligned.exists() == (features == "grid")
    if features == "grid":
        lines = aligned.read_bytes().splitlines()
        found = [msgspec.json.decode(line, type=WordRegions) for line in lines]
        assert [" ".join(one.words) for one in found] == [line.hypothesis for line in kept.lines]
        assert all(len(one.regions) == len(one.weights) == len(one.words) for one in found)
        assert {region for one in found for region in one.regions} <= {0, 1, 2}
