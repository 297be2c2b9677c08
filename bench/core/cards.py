"""Cards: the facts of a task, read from `tasks/*.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol, Union, runtime_checkable

import msgspec

from bench.core.errors import BenchError
from bench.core.structs import Frozen, to_struct
from bench.core.yaml import read_yaml
from bench.domains import all_domains, domain_of, domain_of_tag


@runtime_checkable
class CorpusSpec(Protocol):
    """A card's `corpus:`, one of the tagged structs of a domain."""

    @property
    def licence(self) -> str:
        """Terms of use, or that none are needed."""
        ...


class Metric(Frozen, frozen=True, kw_only=True):
    """Metric of a task and its direction."""

    name: str
    direction: Literal["min", "max"]


class Card(Frozen, frozen=True, kw_only=True):
    """One task: corpus, metric, protocol and the recipes that train models on it."""

    task: str
    title: str
    version: int
    """Raised when a change of the card changes numbers; part of every run's name."""
    objective: str
    """Objective of training unless the caller chooses one of `objectives`."""
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
    def kind(self) -> str:
        """Name of the domain that the corpus belongs to."""
        return domain_of(self.corpus).kind

    def recipe(self, name: str) -> dict[str, Any]:
        """The settings of the recipe `name`, empty when the card has none of that name."""
        return self.recipes.get(name, {})


def is_own(card: Card) -> bool:
    """True for a task that reads a user's own data, of which the card knows nothing."""
    return hasattr(card.corpus, "folder") and card.corpus.folder is None


def require_text(card: Card, verb: str) -> None:
    """Refuse a task that is not text, for a verb that reads text only."""
    if card.kind != "text":
        raise BenchError(f"{card.task} is {card.kind}: `bench {verb}` reads text tasks only")


def read_card(path: Path) -> Card:
    """The card in `path`; its file must be called after its task."""
    tree = dict(read_yaml(path))
    if isinstance(tree.get("corpus"), dict):
        tree["corpus"] = _read_spec(tree["corpus"], where=str(path))
    card = to_struct(tree, Card, where=str(path))
    if card.task != path.stem:
        raise BenchError(f"{path}: task is {card.task!r}, expected the file's name {path.stem!r}")
    return card


def _read_spec(tree: dict[str, Any], *, where: str) -> CorpusSpec:
    """The specification that the tag `kind` asks for, by the domain that knows the tag."""
    domain = domain_of_tag(str(tree.get("kind")))
    domains = [domain] if domain else all_domains()
    specs = tuple(spec for each in domains for spec in each.specs)
    part = msgspec.defstruct("CorpusPart", [("corpus", Union[specs])])  # noqa: UP007
    spec: CorpusSpec = getattr(to_struct({"corpus": tree}, part, where=where), "corpus")  # noqa: B009
    return spec
