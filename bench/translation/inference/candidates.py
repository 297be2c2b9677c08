"""Lists of the best translations as Moses writes them (P. Koehn et al., ACL 2007).

    0 ||| the house is small ||| LM0= -12.3 TM0= -1.5 -0.2 ||| -4.75

Sentence counted from 0, translation, features with their values, total score; what may follow, such
as an alignment, is passed on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.core.errors import BenchError

_SEPARATOR = "|||"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One line of a list."""

    sentence: int
    text: str
    features: str
    """As written."""
    score: float
    rest: tuple[str, ...] = ()

    def values(self) -> dict[str, float]:
        """Feature -> value; the k-th of several values is called `name.k`, counted from 1.

        Raises ValueError for what is not a list of names and numbers.
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
        """The candidate as Moses writes it."""
        fields = (str(self.sentence), self.text, self.features, f"{self.score:.6f}", *self.rest)
        return f" {_SEPARATOR} ".join(fields)


def read_candidates(lines: Iterable[str], *, name: str, num_sentences: int) -> Iterator[Candidate]:
    """The candidates of a list in its order; raises BenchError naming the line at fault."""
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
