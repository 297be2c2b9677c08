"""The contract of a domain (a kind of task), and the table of all domains.

A domain is a package that holds everything one kind of task needs: corpora, objectives, metrics,
baselines, outputs. The rest of `bench` reaches it through its `Domain` alone. This module and the
index of a domain import neither torch nor numpy; code is named as "module:attribute" and loaded
when it is used, so that a run of one kind of task never imports another.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen

if TYPE_CHECKING:
    from bench.training.baseline import Baseline
    from bench.training.objective import Objective

DOMAINS: dict[str, str] = {
    "text": "bench.text:DOMAIN",
    "speech": "bench.speech:DOMAIN",
    "translation": "bench.translation:DOMAIN",
    "captions": "bench.captioning:DOMAIN",
    "frames": "bench.frames:DOMAIN",
}
"""Kind -> the domain's index, "module:attribute"."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A mode of `bench evaluate`.

    `run` names a function `(suite, runs, settings, *, device, options) -> Record`; `settings` names
    the command line's settings that the mode has.
    """

    run: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Index of one kind of task; functions and classes are named as "module:attribute"."""

    kind: str
    """Name of the domain; `Card.kind` of its tasks."""
    specs: tuple[type[Frozen], ...]
    """Tagged structs that a card's `corpus:` may be."""
    data_options: frozenset[str]
    """Settings `data.*` that `load` reads, besides `path`."""
    load: str
    """`(card, data, *, style, progress) -> Corpus`; see `bench.data.corpora.load_corpus`."""
    inspect: str
    """`(card, data, *, fetch, progress) -> None`: verifies a corpus and prints what it holds."""
    objectives: Mapping[str, str]
    """Name -> `bench.training.objective.Objective`."""
    baselines: Mapping[str, str] = field(default_factory=dict)
    """Name -> `bench.training.baseline.Baseline`."""
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    """Mode of `bench evaluate` -> how it is carried out."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Objective -> `bench.runs.outputs.Outputs`; baselines keep those of the card's objective."""
    contestants: str | None = None
    """`(resolved, corpus, *, num_rounds) -> SpeedReport`: the contestants of `bench speed`."""
    unpinned: str | None = None
    """`(card, data) -> Mapping[str, str]`: sha256 of each part of a corpus that no checksum of the
    card pins; see `bench.data.identity`. None where cards pin everything."""
    images: str | None = None
    """`(spec) -> Callable[[str], PIL image]`: the images that samples name."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The values of `corpus.kind` that belong to this domain."""
        return tuple(str(spec.__struct_config__.tag) for spec in self.specs)


def load_attribute(target: str) -> Any:
    """Import what "module:attribute" names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def load_domain(kind: str) -> Domain:
    """The domain called `kind`."""
    found = load_attribute(DOMAINS[kind])
    assert isinstance(found, Domain)
    return found


def all_domains() -> Iterator[Domain]:
    """Every domain in the order of the table."""
    return map(load_domain, DOMAINS)


def domain_of_tag(tag: str) -> Domain | None:
    """The domain whose corpora are tagged so, None for an unknown tag.

    Domains whose name is part of the tag are tried first, so that others are not imported.
    """
    for kind in sorted(DOMAINS, key=lambda kind: kind not in tag):
        if tag in (domain := load_domain(kind)).tags:
            return domain
    return None


def domain_of(spec: object) -> Domain:
    """The domain that a corpus specification belongs to."""
    domain = domain_of_tag(str(type(spec).__struct_config__.tag))  # type: ignore[attr-defined]
    assert domain is not None, spec
    return domain


def all_baselines() -> dict[str, str]:
    """Name -> "module:class" of the baselines of all domains."""
    return {name: each for domain in all_domains() for name, each in domain.baselines.items()}


def baseline_class(kind: str, name: str, *, task: str = "this task") -> type[Baseline]:
    """Class of the baseline `name` for tasks of `kind`.

    Raises BenchError for an unknown name and for a baseline of another domain, with those that fit.
    """
    if name in (own := load_domain(kind).baselines):
        return load_attribute(own[name])  # type: ignore[no-any-return]
    for other in all_domains():
        if name in other.baselines:
            advice = f"choose {', '.join(own)} or a network" if own else "choose a network"
            raise BenchError(
                f"the baseline {name!r} reads {other.kind}, {task} is {kind}: {advice}"
            )
    raise BenchError(f"unknown baseline {name!r}, {nearest(name, all_baselines())}")


def objective_class(kind: str, name: str) -> type[Objective]:
    """Class of the objective `name` of the domain `kind`; this imports torch and Lightning."""
    known = load_domain(kind).objectives
    if name not in known:
        raise BenchError(f"unknown objective {name!r}, {nearest(name, known)}")
    return load_attribute(known[name])  # type: ignore[no-any-return]
