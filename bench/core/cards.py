"""Cards: the facts of a task, read from `tasks/*.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.core.errors import BenchError
from bench.core.structs import Frozen, to_struct
from bench.core.yaml import read_yaml
from bench.text.data.specification import CorpusSpec, Kind, kind_of


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
    """What a model is trained for unless the caller chooses one of `objectives`."""
    description: str
    metric: Metric
    protocol: str
    corpus: CorpusSpec
    source: str | None = None
    """Key in `results/references.bib`."""
    twin: str | None = None
    """The embedded task that needs no files."""
    objectives: tuple[str, ...] = ()
    """Others that the task may be trained by."""
    recipes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    """`default` for every model, then by objective, by model or under a name of its own."""

    @property
    def kind(self) -> Kind:
        """What the corpus is made of."""
        return kind_of(self.corpus)

    def recipe(self, name: str) -> dict[str, Any]:
        """The settings of the recipe `name`, empty when the card has none of that name."""
        return self.recipes.get(name, {})


def require_text(card: Card, verb: str) -> None:
    """Refuse a task that is not text, for a verb that reads text only."""
    if card.kind != "text":
        raise BenchError(f"{card.task} is {card.kind}: `bench {verb}` reads text tasks only")


def read_card(path: Path) -> Card:
    """The card in `path`; its file must be called after its task."""
    card = to_struct(read_yaml(path), Card, where=str(path))
    if card.task != path.stem:
        raise BenchError(f"{path}: task is {card.task!r}, expected the file's name {path.stem!r}")
    return card
