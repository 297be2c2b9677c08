"""Rescoring of another system's n-best lists (Sutskever, Vinyals and Le, 2014, table 2).

The new score is a weighted sum: of the system's own total, of log p(translation | source) by the
models, and of single features where asked for. The paper takes an even average of the first two.

Lists are as Moses writes them (P. Koehn et al., ACL 2007):

    0 ||| the house is small ||| LM0= -12.3 TM0= -1.5 -0.2 ||| -4.75

Sentence counted from 0, translation, features with their values, total score; what may follow,
such as an alignment, is passed on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.core.errors import BenchError, nearest

EVEN = {"score": 0.5, "model": 0.5}
"""The paper's weights."""
Scorer = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""Sources and targets -> natural log p(target | source)."""
_SEPARATOR = "|||"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Line of an n-best list."""

    sentence: int
    text: str
    features: str
    """Text of all features."""
    score: float
    rest: tuple[str, ...] = ()

    def values(self) -> dict[str, float]:
        """Feature -> value; the k-th of several values is called `name.k`, from 1.

        Raises ValueError for features that are no list of names and numbers.
        """
        found: dict[str, list[float]] = {}
        name = None
        for word in self.features.split():
            if word[-1] in "=:" and len(word) > 1:
                name = word[:-1]
                found.setdefault(name, [])
            elif name is None:
                raise ValueError(f"{word!r} belongs to no feature")
            else:
                found[name].append(float(word))
        return {
            key if len(values) == 1 else f"{key}.{place}": value
            for key, values in found.items()
            for place, value in enumerate(values, start=1)
        }

    def line(self) -> str:
        """Format the candidate as Moses does."""
        fields = (str(self.sentence), self.text, self.features, f"{self.score:.6f}", *self.rest)
        return f" {_SEPARATOR} ".join(fields)


def read_candidates(lines: Iterable[str], *, name: str, num_sentences: int) -> Iterator[Candidate]:
    """Read the candidates in order; BenchError naming a malformed line."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _candidate(line, num_sentences)
            except ValueError as error:
                raise BenchError(f"{name}, line {number}: {error}") from None


def _candidate(line: str, num_sentences: int) -> Candidate:
    fields = [field.strip() for field in line.rstrip("\n").split(_SEPARATOR)]
    if len(fields) < 4:
        raise ValueError(f"expected `id ||| text ||| features ||| score`, not {len(fields)} fields")
    place, text, features, total, *rest = fields
    if not place.isdecimal():
        raise ValueError(f"the sentence is {place!r}, expected a number from 0 on")
    if int(place) >= num_sentences:
        raise ValueError(f"sentence {place} of {num_sentences} sources, counted from 0")
    try:
        score = float(total)
    except ValueError:
        raise ValueError(f"the score is {total!r}, expected a number") from None
    if not math.isfinite(score):
        raise ValueError(f"the score is {total}, expected a finite number")
    return Candidate(
        sentence=int(place), text=text, features=features, score=score, rest=tuple(rest)
    )


def parse_weights(given: Sequence[str]) -> dict[str, float]:
    """Parse `name=weight` items; the paper's weights where there is none."""
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
    """Sort the candidates of each source, best first, ties in the order given.

    The log-probability by `scorer` is added to the features as `model=`. A source without
    candidates has an empty list. Raises BenchError for a weight of a feature that a candidate does
    not have.
    """
    pairs = list(dict.fromkeys((one.sentence, one.text) for one in candidates))  # lists repeat some
    found = scorer([sources[place] for place, _ in pairs], [text for _, text in pairs])
    log_probs = dict(zip(pairs, found, strict=True))
    by_sentence: list[list[Candidate]] = [[] for _ in sources]
    for candidate in candidates:
        log_prob = log_probs[candidate.sentence, candidate.text]
        by_sentence[candidate.sentence].append(_rescored(candidate, log_prob, weights))
    return [sorted(each, key=lambda candidate: -candidate.score) for each in by_sentence]


def _rescored(candidate: Candidate, log_prob: float, weights: Mapping[str, float]) -> Candidate:
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
