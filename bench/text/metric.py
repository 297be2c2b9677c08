"""Perplexity and bits per character, and the signature that says what exactly they are."""

from __future__ import annotations

import math

from bench.text.data.corpus import TextCorpus


def metric_value(corpus: TextCorpus, nats_per_symbol: float) -> float:
    """Perplexity of words, bits per character of characters, from the mean loss in nats."""
    return value_of(metric_name(corpus), nats_per_symbol)


def value_of(metric: str, nats_per_symbol: float) -> float:
    """Value of the metric of that name for a mean loss in nats."""
    if metric == "bits-per-character":
        return nats_per_symbol / math.log(2)
    return math.exp(min(nats_per_symbol, 700.0))


def metric_name(corpus: TextCorpus) -> str:
    """Name of the metric of a corpus."""
    return "bits-per-character" if corpus.unit == "char" else "perplexity"


def bound_value(corpus: TextCorpus) -> float | None:
    """The best possible value on the test split, where the distribution is known."""
    nats = (corpus.bound_nats or {}).get("test")
    return None if nats is None else metric_value(corpus, nats)


def nats_per_symbol(metric: str, value: float) -> float:
    """The mean loss in nats behind a value of `metric`, a card's name for it."""
    return value * math.log(2) if metric == "bits-per-character" else math.log(value)


def text_signature(corpus: TextCorpus, evaluation: str = "static") -> str:
    """Signature of the metric: unit, sentence ends counted or not, streams, evaluation."""
    metric = metric_name(corpus)
    end = corpus.end_of_sentence or "none"
    return f"{metric}|unit:{corpus.unit}|end:{end}|streams:1|eval:{evaluation}"
