"""Ranks, likelihoods of all pairs, and networks that rank."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from small_captions import (
    KINDS,
    NUM_WORDS,
    captions_of,
    images_for,
    make,
    make_config,
    make_corpus,
    model_config,
)

from bench.captioning.network.captioner import WordRegions, alignments_path
from bench.captioning.network.options import RankingOptions
from bench.captioning.network.ranking import RankingNetwork, Ranks, normalised, ranking_loss, ranks
from bench.captioning.network.search import log_likelihoods, prefix_tree
from bench.captioning.objectives.ranking import RankingObjective
from bench.core.errors import BenchError
from bench.data.tokens import END
from bench.models import MODELS
from bench.training.fit import evaluate, fit

SENTENCES = [
    np.array(row, np.int64)
    for row in ([3, 4, 5], [3, 4, 6], [3, 7], [3, 4, 5], [], [4], [3, 4, 5, 6, 7])
]


def test_a_tree_of_prefixes_holds_every_sentence_once() -> None:
    levels = prefix_tree(SENTENCES, end=END)
    assert [len(level.token) for level in levels] == [3, 3, 3, 3, 1, 1]
    ends = dict(pair for level in levels for pair in zip(level.sentence, level.leaf, strict=True))
    assert sorted(ends) == list(range(7))
    assert [len(level.inner) for level in levels] == [2, 2, 2, 1, 1, 0]
    for number, row in enumerate(SENTENCES):  # each is read back from its leaf to the root
        node, found = ends[number], []
        for depth in range(len(row), -1, -1):
            found.append(levels[depth].token[node])
            node = levels[depth - 1].inner[levels[depth].parent[node]] if depth else 0
        assert found == [END, *reversed(row.tolist())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_rows", [1, 9, 20_000])
def test_likelihoods_are_those_of_each_pair(
    kind: str, max_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.captioning.network.search.MAX_ROWS", max_rows)
    network = make(KINDS[kind], name="scrn")
    images = images_for(network, 3)
    told: list[tuple[int, int]] = []
    found_SI = log_likelihoods(
        [network], [images], SENTENCES, progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (3, 3)
    for s, i in itertools.product(range(len(SENTENCES)), range(3)):
        caption = torch.tensor([[*SENTENCES[s].tolist(), END]])
        lengths = torch.tensor([caption.shape[1]])
        log_p = network.word_log_probs((images[i : i + 1],), caption, lengths).sum()
        assert found_SI[s, i] == pytest.approx(float(log_p), abs=1e-9)


def test_an_ensemble_is_as_likely_as_its_mean() -> None:
    networks = [make(seed=seed, name=name) for seed, name in ((0, "gru"), (1, "lstm"))]
    images = images_for(networks[0], 2)
    found_SI = log_likelihoods(networks, [images, images], SENTENCES[:3])
    for s, i in itertools.product(range(3), range(2)):
        caption = torch.tensor([[*SENTENCES[s].tolist(), END]])
        each = [
            network.word_log_probs(
                (images[i : i + 1],), caption, torch.tensor([caption.shape[1]])
            ).exp()
            for network in networks
        ]
        mean = float(torch.stack(each).mean(0).log().sum())
        assert found_SI[s, i] == pytest.approx(mean, abs=1e-9)


def test_ranks_by_hand() -> None:
    score_SI = np.array([[9.0, 1.0], [2.0, 4.0], [5.0, 4.0], [6.0, 4.0]])
    found = ranks(score_SI, np.array([0, 0, 1, 1]))
    assert found.annotation.tolist() == [1, 2]  # of image 1 a wrong one has 4 as well
    assert found.search.tolist() == [1, 2, 2, 2]
    assert found.values["annotation-r@1"] == 50.0
    assert found.values["search-r@1"] == 25.0
    assert found.values["search-r@5"] == 100.0
    assert found.values["search-median-rank"] == 2.0
    assert found.mean_recall == pytest.approx((50 + 100 + 100 + 25 + 100 + 100) / 6)


def test_equal_scores_find_nothing() -> None:
    found = ranks(np.zeros((30, 20)), np.arange(30) % 20)
    assert found.search.min() == 20
    assert found.annotation.min() == 29
    assert found.mean_recall == 0.0


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(BenchError, match="diverged"):
        ranks(np.full((2, 2), np.nan), np.arange(2))


def test_normalised_likelihoods_forget_what_a_sentence_always_has() -> None:
    random = np.random.default_rng(0)
    log_p_SI = random.standard_normal((6, 4)) - 50.0
    common_S1 = 40.0 * random.standard_normal((6, 1))
    np.testing.assert_allclose(normalised(log_p_SI + common_S1), normalised(log_p_SI))
    np.testing.assert_allclose(np.exp(normalised(log_p_SI)).mean(1), 1.0)


def plain_loss(
    score: torch.Tensor, column: list[int], same: torch.Tensor, margin: float, kind: str
) -> float:
    """The module's equation, a pair at a time."""
    total = 0.0
    for s, image in enumerate(column):
        own = score[s, image]
        across = [score[s, j] for j in range(score.shape[1]) if not same[s, j]]
        along = [score[u, image] for u in range(len(column)) if not same[u, image]]
        for others in (across, along):
            costs = [max(0.0, float(other - own + margin)) for other in others]
            if costs:
                total += max(costs) if kind == "hardest" else sum(costs) / len(costs)
    return total


@pytest.mark.parametrize("kind", ["all", "hardest"])
def test_the_ranking_loss_is_its_equation(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.captioning.network.ranking.BLOCK", 1)
    torch.manual_seed(0)
    score_SI = torch.randn(7, 4, dtype=torch.float64)
    column_S = torch.tensor([0, 0, 1, 2, 3, 3, 3])
    same_SI = column_S[:, None] == torch.arange(4)
    found = ranking_loss(score_SI, column_S, same_SI, margin=0.3, negatives=kind)
    assert float(found) == pytest.approx(
        plain_loss(score_SI, column_S.tolist(), same_SI, 0.3, kind)
    )
    parts = [
        ranking_loss(score_SI, column_S, same_SI, margin=0.3, negatives=kind, own=slice(*edges))
        for edges in ((0, 2), (2, 7))
    ]
    assert float(sum(parts)) == pytest.approx(float(found))
    alone = ranking_loss(score_SI[:1, :1], column_S[:1], same_SI[:1, :1], margin=1, negatives=kind)
    assert float(alone) == 0.0


def make_ranking(
    options: dict[str, Any] | None = None, *, name: str = "gru", **model: Any
) -> RankingNetwork:
    torch.manual_seed(0)
    given = RankingOptions(**(options or {}))
    shape = (3, 5) if given.similarity == "regions" else (5,)
    config = model_config(name, **model)
    return (
        RankingNetwork(config, given, feature_shape=shape, vocabulary_size=NUM_WORDS)
        .double()
        .eval()
    )


@pytest.mark.parametrize("similarity", ["global", "regions"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_a_sentence_is_compared_whatever_stands_beside_it(
    similarity: str, name: str, direction: str
) -> None:
    network = make_ranking({"similarity": similarity}, name=name, direction=direction)
    feature = torch.randn(3, *((3, 5) if similarity == "regions" else (5,)), dtype=torch.float64)
    caption_BT, lengths_B = captions_of([4, 6, 1], padding=5)
    images = network.images(feature)
    together = network.similarity(network.sentences(caption_BT, lengths_B), images)
    for b, length in enumerate(lengths_B.tolist()):
        rows = slice(b, b + 1)
        alone = network.sentences(caption_BT[rows, :length], lengths_B[rows])
        torch.testing.assert_close(network.similarity(alone, images)[0], together[b])


@torch.no_grad()
def test_regions_are_compared_word_by_word() -> None:
    network = make_ranking({"similarity": "regions"})
    feature = torch.randn(2, 3, 5, dtype=torch.float64)
    caption_BT, lengths_B = captions_of([4, 2])
    found, regions = network.sentences(caption_BT, lengths_B), network.images(feature)
    score_BI = network.similarity(found, regions)
    region_BT, product_BT = network.align(found, regions)
    for b, i in itertools.product(range(2), range(2)):
        words = found[b, : lengths_B[b]]
        each = [[float(word @ region) for region in regions[i]] for word in words]
        assert float(score_BI[b, i]) == pytest.approx(sum(map(max, each)))
        if b == i:
            best = [row.index(max(row)) for row in each]
            assert region_BT[b, : lengths_B[b]].tolist() == best
            assert product_BT[b, 0].item() == pytest.approx(max(each[0]))
    with pytest.raises(
        BenchError, match=r"objective\.similarity regions needs features by regions"
    ):
        RankingNetwork(
            model_config(),
            RankingOptions(similarity="regions"),
            feature_shape=(5,),
            vocabulary_size=4,
        )


@pytest.mark.parametrize("similarity", ["global", "regions"])
def test_a_run_learns_to_rank(similarity: Any, tmp_path: Path) -> None:
    corpus = make_corpus(features="grid" if similarity == "regions" else "vector")
    options = RankingOptions(similarity=similarity, batch_tokens=40, margin=0.5)
    config = make_config(
        {"name": "ranking", **msgspec.structs.asdict(options)},
        optim={"lr": 0.02},
        trainer={"max_epochs": 8, "threads": 1},
    )
    torch.manual_seed(1)
    objective = RankingObjective(config, corpus)
    fit(objective, tmp_path)
    losses = [point["loss_valid"] for point in objective.curve]
    assert min(losses) < 0.8 * losses[0]
    score = evaluate(objective, "test", keep=tmp_path)
    metric, split = objective.metric, corpus.splits["test"]
    found = ranks(np.stack([metric.scores[place] for place in range(8)]), split.image_of)
    assert score.value == found.mean_recall
    assert score.choice == 100 - score.value
    assert metric.name == "recall"
    assert metric.signature == Ranks.signature(
        f"ranking({similarity})", num_images=4, num_captions=8
    )
    assert score.beside == found.beside(f"ranking({similarity})")
    assert len(score.beside) == 8
    assert objective.num_train_units == sum(map(objective.units_in, objective.train_loader()))
    path = alignments_path(tmp_path, "test")
    assert path.exists() == (similarity == "regions")
    if similarity == "regions":
        lines = [
            msgspec.json.decode(line, type=WordRegions) for line in path.read_bytes().splitlines()
        ]
        wanted = [tokens for own in corpus.splits["test"].captions for tokens in own]
        assert [line.words for line in lines] == wanted
