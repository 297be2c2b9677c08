"""Cards: the facts of a task, read from `tasks/*.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.data.specification import CorpusSpec
from bench.errors import BenchError
from bench.structs import Frozen, to_struct
from bench.yaml import read_yaml


class Metric(Frozen, frozen=True, kw_only=True):
    """What decides on the task, and which way is better."""

    name: str
    direction: Literal["min", "max"]


class Card(Frozen, frozen=True, kw_only=True):
    """One task: corpus, metric, protocol and the recipes that train models on it."""

    task: str
    title: str
    version: int
    """Raised when a change of the card changes numbers; part of every run's name."""
    objective: str
    description: str
    metric: Metric
    protocol: str
    corpus: CorpusSpec
    source: str | None = None
    """Key in `results/references.bib`."""
    twin: str | None = None
    """The embedded task that needs no files."""
    recipes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    """`default` for every model, then by model or under a name of its own."""

    def recipe(self, name: str) -> dict[str, Any]:
        """The settings of the recipe `name`, empty when the card has none of that name."""
        return self.recipes.get(name, {})


def read_card(path: Path) -> Card:
    """The card in `path`; its file must be called after its task."""
    card = to_struct(read_yaml(path), Card, where=str(path))
    if card.task != path.stem:
        raise BenchError(f"{path}: task is {card.task!r}, expected the file's name {path.stem!r}")
    return card
