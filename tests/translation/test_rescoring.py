"""The new order of another system's lists."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from bench.core.errors import BenchError
from bench.translation.rescoring import EVEN, Candidate, parse_weights, rescore

SOURCES = ["ein Haus", "zwei Hunde", "nichts"]
MODEL = {"a house": -1.0, "one house": -4.0, "two dogs": -2.0, "two hounds": -2.0}


class Scorer:
    """log p by a table; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, sources: Sequence[str], targets: Sequence[str]) -> list[float]:
        self.asked += zip(sources, targets, strict=True)
        return [MODEL[target] for target in targets]


def candidate(sentence: int, text: str, score: float, features: str = "lm= -3") -> Candidate:
    return Candidate(sentence=sentence, text=text, features=features, score=score)


LISTED = [
    candidate(0, "one house", -2.0, "lm= -8 tm= -1 -2"),
    candidate(0, "a house", -3.0, "lm= -3 tm= -4 -5"),
    candidate(0, "a house", -3.5, "lm= -3 tm= -6 -5"),
    candidate(1, "two hounds", -1.0),
    candidate(1, "two dogs", -1.0),
]


def test_the_paper_takes_an_even_average() -> None:
    found = rescore(LISTED, SOURCES, weights=EVEN, scorer=Scorer())
    assert [[(c.text, c.score) for c in of_one] for of_one in found] == [
        [("a house", -2.0), ("a house", -2.25), ("one house", -3.0)],
        [("two hounds", -1.5), ("two dogs", -1.5)],
        [],
    ]
    assert found[0][0].features == "lm= -3 tm= -4 -5 model= -1.000000"


def test_a_translation_that_stands_twice_is_scored_once() -> None:
    scorer = Scorer()
    rescore(LISTED, SOURCES, weights=EVEN, scorer=scorer)
    assert scorer.asked == [
        ("ein Haus", "one house"),
        ("ein Haus", "a house"),
        ("zwei Hunde", "two hounds"),
        ("zwei Hunde", "two dogs"),
    ]


@pytest.mark.parametrize(
    ("weights", "scores"),
    [
        ({"score": 1.0}, [-2.0, -3.0, -3.5]),
        ({"model": 1.0}, [-4.0, -1.0, -1.0]),
        ({"score": 1.0, "length": -0.5}, [-3.0, -4.0, -4.5]),
        ({"lm": 1.0, "tm.2": 0.5}, [-9.0, -5.5, -5.5]),
        ({"model": 0.5, "tm.1": 1.0}, [-3.0, -4.5, -6.5]),
    ],
)
def test_weights_of_everything(weights: dict[str, float], scores: list[float]) -> None:
    found = rescore(LISTED[:3], SOURCES[:1], weights=weights, scorer=Scorer())
    assert [c.score for c in found[0]] == pytest.approx(sorted(scores, reverse=True))
    assert {c.text for c in found[0]} == {"one house", "a house"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), {"score": 0.5, "model": 0.5}),
        (("model=1",), {"model": 1.0}),
        (("score=1", "model=0.3", "TM0.2=-1e-2"), {"score": 1.0, "model": 0.3, "TM0.2": -0.01}),
    ],
)
def test_weights_are_read(given: tuple[str, ...], expected: dict[str, float]) -> None:
    assert parse_weights(given) == expected


@pytest.mark.parametrize("given", [("model",), ("=1",), ("model=x",), ("model=inf",)])
def test_weights_that_are_none(given: tuple[str, ...]) -> None:
    with pytest.raises(BenchError, match=re.escape(f"--weight {given[0]}: give name=number")):
        parse_weights(given)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: parse_weights(("a=1", "a=2")), "--weight a is given twice"),
        (
            lambda: rescore(LISTED, SOURCES, weights={"LM": 1.0}, scorer=Scorer()),
            "sentence 0 has no such feature, known: length, lm, model",
        ),
        (
            lambda: rescore(LISTED, SOURCES, weights={"tm": 1.0}, scorer=Scorer()),
            "no such feature, did you mean 'tm.",
        ),
    ],
)
def test_what_cannot_be_weighed_is_refused(action: object, message: str) -> None:
    assert callable(action)
    with pytest.raises(BenchError, match=re.escape(message)):
        action()
