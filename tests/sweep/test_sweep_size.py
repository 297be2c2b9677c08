"""Hidden sizes solved for a number of weights, compared with networks that are built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.data.rows import Vocabulary
from bench.models import MODELS
from bench.runs.resolve import Resolved, resolve
from bench.sweep import size
from bench.sweep.size import count_parameters, nearest_size, solve_size, with_size
from bench.text.data.corpus import TextCorpus
from bench.text.objective import LanguageModel

NUM_WORDS = 120
COUNTS = np.maximum(1, 5000 // np.arange(1, NUM_WORDS + 1)).astype(np.int64)
CORPUS = TextCorpus(
    unit="word",
    vocabulary=Vocabulary(symbols=tuple(f"w{i}" for i in range(NUM_WORDS)), counts=COUNTS),
    splits={},
    checksums={},
    end_of_sentence="w0",
)
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "classes": {"objective": {"output": "classes"}},
    "adaptive": {"objective": {"output": "adaptive"}},
    "embedding of its own": {"objective": {"embedding_size": 13}},
    "tied": {"objective": {"embeddings": "tied"}},
    "two layers": {"model": {"num_layers": 2, "init": "orthogonal"}},
}
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "direct input": ("srn", {"model": {"input": "direct", "bias": "hidden"}}),
    "direct input and context": ("scrn", {"model": {"input": "direct", "context_size": 9}}),
    "tied and direct": (
        "scrn",
        {"model": {"input": "direct"}, "objective": {"embeddings": "tied"}},
    ),
    "coupled gates, full peepholes": ("lstm", {"model": {"gates": "coupled", "peephole": "full"}}),
    "learned decay": ("scrn", {"model": {"alpha_kind": "learned"}}),
}
CASES = [
    *[(f"{model}, {name}", model, tree) for model in MODELS for name, tree in OPTIONS.items()],
    *[(name, model, tree) for name, (model, tree) in MORE.items()],
]


@pytest.fixture(autouse=True)
def tiny_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "corpus_of", lambda _: CORPUS)
    monkeypatch.setattr(size, "_corpora", {})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(folder=tmp_path_factory.mktemp("suite"))


def resolved_for(suite: Suite, model: str, tree: dict[str, Any]) -> Resolved:
    return resolve(suite, "synthetic-text", model=model, overrides=tree)


def built(resolved: Resolved, hidden_size: int) -> int:
    """Number of weights of a network built at one hidden size."""
    network = LanguageModel(with_size(resolved.config, hidden_size), CORPUS)
    assert all(p.device.type == "cpu" for p in network.parameters())
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("model", "tree"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_no_other_size_is_nearer(place: Suite, model: str, tree: dict[str, Any]) -> None:
    resolved = resolved_for(place, model, tree)
    for target in (20_000, 41_000):
        solved = solve_size(resolved, target)
        best = solved["model.hidden_size"]
        assert isinstance(best, int)
        off = {h: abs(built(resolved, h) - target) for h in (best - 1, best, best + 1) if h > 0}
        assert off[best] == min(off.values()), off
        if "objective.embedding_size" in solved:
            assert solved["objective.embedding_size"] != best


@pytest.mark.parametrize(("model", "tree"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_counting_draws_no_random_numbers_and_matches_the_network(
    place: Suite, model: str, tree: dict[str, Any]
) -> None:
    resolved = resolved_for(place, model, tree)
    before = torch.get_rng_state()
    counted = count_parameters(with_size(resolved.config, 17), LanguageModel, CORPUS)
    assert torch.equal(torch.get_rng_state(), before)
    assert counted == built(resolved, 17)


def test_a_large_network_is_counted_without_allocation(place: Suite) -> None:
    resolved = resolved_for(place, "lstm", {})
    solved = solve_size(resolved, 10**12)  # 4 TB of weights
    assert 300_000 < int(str(solved["model.hidden_size"])) < 400_000


def test_the_embedding_size_is_solved_only_if_it_must_match(place: Suite) -> None:
    tied = {"objective": {"embeddings": "tied"}}
    assert set(solve_size(resolved_for(place, "srn", tied), 20_000)) == {"model.hidden_size"}
    solved = solve_size(resolved_for(place, "scrn", tied), 20_000)
    hidden, embedding = solved["model.hidden_size"], solved["objective.embedding_size"]
    assert int(str(embedding)) == int(str(hidden)) + 40


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("srn", {}, 100, "budget.parameters 100 for srn: at hidden size 1 the network has 36"),
    ("srn", {"objective": {"embedding_size": 50}}, 5_000, "raise the budget or make its other"),
    ("srn", {}, 10**15, "not reached at hidden size 1,048,576, lower the budget"),
    (
        "scrn",
        {"objective": {"embeddings": "tied", "embedding_size": 50}},
        9_000,
        "objective.embedding_size 50 leaves no choice of the hidden size",
    ),
]


@pytest.mark.parametrize(("model", "tree", "target", "message"), WRONG)
def test_a_target_without_a_size_is_refused(
    place: Suite, model: str, tree: dict[str, Any], target: int, message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        solve_size(resolved_for(place, model, tree), target)


@given(
    fixed=st.integers(0, 1000),
    linear=st.integers(1, 50),
    square=st.integers(0, 9),
    target=st.integers(1, 10**7),
)
@settings(deadline=None)
def test_the_nearest_size_of_any_growing_count(
    fixed: int, linear: int, square: int, target: int
) -> None:
    def count(h: int) -> int:
        return fixed + linear * h + square * h * h

    check_nearest(count, max(target, count(1)))


@given(target=st.integers(7, 3000))
def test_the_nearest_size_of_a_count_with_plateaus(target: int) -> None:
    check_nearest(lambda h: 7 * (h // 3) + 7, target)


def check_nearest(count: Callable[[int], int], target: int) -> None:
    found = nearest_size(count, target)
    around = range(max(1, found - 4), min(size.LARGEST, found + 4) + 1)
    if found < size.LARGEST:
        assert abs(count(found) - target) == min(abs(count(h) - target) for h in around)
    else:
        assert count(found) <= target


def test_all_models_come_near_the_same_target(place: Suite) -> None:
    target = 60_000
    for model in MODELS:
        resolved = resolved_for(place, model, {})
        hidden_size = solve_size(resolved, target)["model.hidden_size"]
        config = with_size(resolved.config, int(str(hidden_size)))
        assert msgspec.structs.asdict(config)["model"]["hidden_size"] == hidden_size
        assert abs(count_parameters(config, LanguageModel, CORPUS) - target) < 0.04 * target
