"""Cards around a specification, for what reads a corpus alone."""

from __future__ import annotations

from bench.core.cards import Card, CorpusSpec, Metric


def card_of(spec: CorpusSpec, *, task: str = "tiny", twin: str | None = None) -> Card:
    """A card whose other facts nobody reads."""
    return Card(
        task=task,
        title=task,
        version=1,
        objective="language-model",
        description=task,
        metric=Metric(name="perplexity", direction="min"),
        protocol="none",
        corpus=spec,
        twin=twin,
    )
