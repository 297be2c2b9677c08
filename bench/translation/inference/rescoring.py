"""Another system's list of translations in a new order (Sutskever, Vinyals and Le, 2014, table 2).

The new score is a weighted sum: of the system's own total, of log p(translation | source) by the
models, and of single features where asked for. The paper takes an even average of the first two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.core.errors import BenchError, nearest
from bench.translation.inference.candidates import Candidate

EVEN = {"score": 0.5, "model": 0.5}
"""The paper's weights."""

Scorer = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""Sources and targets -> log p(target | source), natural."""


def parse_weights(given: Sequence[str]) -> dict[str, float]:
    """`name=weight` each; the paper's where none is given."""
    weights: dict[str, float] = {}
    for item in given:
        name, sign, number = item.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not sign or not name or not math.isfinite(weight):
            raise BenchError(f"--weight {item}: give name=number, as in model=0.5")
        if name in weights:
            raise BenchError(f"--weight {name} is given twice")
        weights[name] = weight
    return weights or dict(EVEN)


def rescore(
    candidates: Sequence[Candidate],
    sources: Sequence[str],
    *,
    weights: Mapping[str, float],
    scorer: Scorer,
) -> list[list[Candidate]]:
    """The candidates of each source, the best first; equal ones as they came.

    What the models' `scorer` finds is added to the features as `model=`. A source without
    candidates has an empty list. Raises BenchError for a weight of a feature that a candidate does
    not have.
    """
    log_probs = _log_probs(candidates, sources, scorer)
    by_sentence: list[list[Candidate]] = [[] for _ in sources]
    for candidate in candidates:
        log_prob = log_probs[candidate.sentence, candidate.text]
        by_sentence[candidate.sentence].append(_weighed(candidate, log_prob, weights))
    return [sorted(found, key=lambda candidate: -candidate.score) for found in by_sentence]


def _log_probs(
    candidates: Sequence[Candidate], sources: Sequence[str], scorer: Scorer
) -> dict[tuple[int, str], float]:
    """Each different translation of a source is scored once: lists repeat themselves."""
    pairs = list(dict.fromkeys((candidate.sentence, candidate.text) for candidate in candidates))
    found = scorer([sources[place] for place, _ in pairs], [text for _, text in pairs])
    return dict(zip(pairs, found, strict=True))


def _weighed(candidate: Candidate, log_prob: float, weights: Mapping[str, float]) -> Candidate:
    num_words = float(len(candidate.text.split()))
    values = {"score": candidate.score, "model": log_prob, "length": num_words}
    if not set(weights) <= set(values):
        values = {**_features(candidate), **values}
    total = 0.0
    for name, weight in weights.items():
        if name not in values:
            raise BenchError(
                f"--weight {name}: a translation of sentence {candidate.sentence} has no such "
                f"feature, {nearest(name, values)}"
            )
        total += weight * values[name]
    features = f"{candidate.features} model= {log_prob:.6f}".strip()
    return replace(candidate, features=features, score=total)


def _features(candidate: Candidate) -> dict[str, float]:
    try:
        return candidate.values()
    except ValueError as error:
        raise BenchError(
            f"features {candidate.features!r} of sentence {candidate.sentence}: {error}"
        ) from None
