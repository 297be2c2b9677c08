"""Recipes of the cards: all of them resolve, and the published settings are what the papers say."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from bench.core.config import dotted
from bench.core.published import load_published
from bench.core.suite import Suite, shipped_folder
from bench.data.rows import Vocabulary
from bench.domains import all_baselines
from bench.models import MODELS
from bench.runs.resolve import Resolved, resolve
from bench.text.data.corpus import TextCorpus
from bench.text.objective import LanguageModel
from bench.training.optimiser import Schedule

SUITE = Suite(folder=shipped_folder())
RECIPES = [(card.task, recipe) for card in SUITE.cards() for recipe in card.recipes]


def by_recipe(task: str, recipe: str) -> Resolved:
    """The recipe; one that names no model is tried on its namesake, or on a simple network."""
    named = "name" in SUITE.card(task).recipe(recipe).get("model", {})
    namesake = recipe if recipe in {*MODELS, *all_baselines()} else "srn"
    return resolve(SUITE, task, model=None if named else namesake, recipe=recipe)


@pytest.mark.parametrize(("task", "recipe"), RECIPES)
def test_every_recipe_resolves(task: str, recipe: str) -> None:
    assert by_recipe(task, recipe).config.task == task


@pytest.mark.parametrize(
    ("recipe", "label"),
    [
        ("ffnn", "Feed-forward network"),
        ("zaremba-small", "LSTM, 2 x 200, no dropout (small)"),
        ("zaremba-medium", "LSTM, 2 x 650, dropout (medium)"),
        ("zaremba-large", "LSTM, 2 x 1500, dropout (large)"),
    ],
)
def test_a_recipe_measures_its_published_row(recipe: str, label: str) -> None:
    config = dotted(msgspec.to_builtins(by_recipe("ptb", recipe).config))
    (row,) = (row for row in load_published(SUITE, "ptb") if row.label == label)
    assert row.match is not None
    assert row.match.items() <= config.items()


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        ("zaremba-small", {0: 1.0, 3: 1.0, 4: 0.5, 5: 0.25, 12: 2.0**-9}),
        ("zaremba-medium", {5: 1.0, 6: 1 / 1.2, 38: 1.2**-33}),
        ("zaremba-large", {13: 1.0, 14: 1 / 1.15, 54: 1.15**-41}),
    ],
)
def test_zarembas_learning_rates(recipe: str, rates: dict[int, float]) -> None:
    config = by_recipe("ptb", recipe).config
    schedule = Schedule(config.optim, max_epochs=config.trainer.max_epochs)
    assert {epoch: schedule.lr(epoch) for epoch in rates} == pytest.approx(rates)
    assert max(rates) == config.trainer.max_epochs - 1


def small_text(num_types: int) -> TextCorpus:
    rng = np.random.default_rng(0)
    splits = {split: rng.integers(0, num_types, 500) for split in ("train", "valid", "test")}
    vocabulary = Vocabulary(
        symbols=tuple(map(str, range(num_types))), counts=np.arange(num_types, 0, -1)
    )
    return TextCorpus(unit="word", vocabulary=vocabulary, splits=splits, checksums={})


def test_zarembas_weights_begin_in_one_range() -> None:
    model = LanguageModel(by_recipe("ptb", "zaremba-small").config, small_text(300))
    for name, weight in model.named_parameters():
        largest = float(weight.detach().abs().max())
        expected = 0.0 if name == "output.bias" else 0.1
        assert largest == pytest.approx(expected, rel=0.02), name


def test_the_output_range_leaves_other_weights_as_they_were() -> None:
    import torch

    base: dict[str, Any] = {"model": {"name": "srn", "hidden_size": 8}}
    found = []
    for objective in ({}, {"output_init_range": 0.01}):
        torch.manual_seed(0)
        config = resolve(SUITE, "ptb", overrides={**base, "objective": objective}).config
        found.append(LanguageModel(config, small_text(30)))
    for (name, one), other in zip(found[0].named_parameters(), found[1].parameters(), strict=True):
        same = torch.equal(one, other)
        assert same == (name != "output.weight"), name
