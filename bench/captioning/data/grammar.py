"""What a grammar says of two coloured shapes, and how likely each of its captions is.

    a large red circle left of a small blue ring           0.75 ^ 3
    there is a small blue ring right of a big red circle   0.25 ^ 3

Three things are said in either of two ways, whatever is seen: what is left or above is named first
or last; `there is` stands before it or not; large is big. The rarer way is taken with probability
q, independently. So of every scene every caption's probability is known, and the mean of
-log P(word | scene, words before), ends of captions included, is what no captioner goes below:
`bound_nats`. No caption of one scene is one of another.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.captioning.data.words import Tokens

COLOURS: Mapping[str, tuple[float, float, float]] = {
    "red": (0.9, 0.1, 0.1),
    "green": (0.1, 0.7, 0.2),
    "blue": (0.15, 0.25, 0.95),
    "yellow": (0.95, 0.9, 0.1),
    "purple": (0.65, 0.15, 0.8),
    "orange": (1.0, 0.55, 0.05),
    "turquoise": (0.1, 0.85, 0.85),
    "white": (0.97, 0.97, 0.97),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
SIZES = ("small", "large")
SIDE = 3
"""Places in a row and in a column of a scene."""
NUM_THINGS = len(COLOURS) * len(SHAPES) * len(SIZES)
NUM_CONTENTS = 2 * NUM_THINGS * (NUM_THINGS - 1)
"""Of scenes: one thing, another, and which way."""
BETWEEN = {
    ("across", "first"): ("left", "of"),
    ("across", "last"): ("right", "of"),
    ("down", "first"): ("above",),
    ("down", "last"): ("below",),
}


@dataclass(frozen=True, order=True)
class Thing:
    """One shape."""

    size: str
    colour: str
    shape: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Two different things in a row (`across`) or a column (`down`), `first` left or above."""

    first: Thing
    last: Thing
    direction: str
    places: tuple[tuple[int, int], tuple[int, int]]
    """Row and column of each."""

    @property
    def content(self) -> tuple[Thing, Thing, str]:
        """All that captions say."""
        return self.first, self.last, self.direction


def scene(number: Callable[[], float]) -> Scene:
    """A scene drawn from numbers between 0 and 1."""
    first = _thing(number)
    last = _thing(number)
    while last == first:
        last = _thing(number)
    direction = ("across", "down")[int(2 * number())]
    line = int(SIDE * number())
    pairs = list(itertools.combinations(range(SIDE), 2))
    one, other = pairs[int(len(pairs) * number())]
    places = ((line, one), (line, other))
    if direction == "down":
        places = ((one, line), (other, line))
    return Scene(first=first, last=last, direction=direction, places=places)


def caption(seen: Scene, number: Callable[[], float], rarer_share: float) -> Tokens:
    """One of the scene's captions, drawn by its probability."""
    rare = (number() < rarer_share for _ in range(4))
    return _said(seen, next(rare), next(rare), (next(rare), next(rare)))


def commonest(seen: Scene) -> Tokens:
    """The likeliest caption of a scene: what a captioner says who knows all but the dice."""
    return _said(seen, False, False, (False, False))


def probabilities(seen: Scene, rarer_share: float) -> dict[Tokens, float]:
    """Every caption of a scene with its probability."""
    found: dict[Tokens, float] = {}
    for opened, turned, *big in itertools.product((False, True), repeat=4):
        said = _said(seen, opened, turned, (big[0], big[1]))
        num_rare = opened + turned + sum(big)
        chance = math.prod([rarer_share] * num_rare + [1 - rarer_share] * (4 - num_rare))
        found[said] = found.get(said, 0.0) + chance
    return found


def _said(seen: Scene, opened: bool, turned: bool, big: tuple[bool, bool]) -> Tokens:
    things = [_noun(seen.first, big[0]), _noun(seen.last, big[1])]
    between = BETWEEN[seen.direction, "last" if turned else "first"]
    if turned:
        things.reverse()
    return (*(("there", "is") if opened else ()), *things[0], *between, *things[1])


def _noun(thing: Thing, big: bool) -> Tokens:
    size = "big" if big and thing.size == "large" else thing.size
    return ("a", size, thing.colour, thing.shape)


def _thing(number: Callable[[], float]) -> Thing:
    size, colour, shape = (of[int(len(of) * number())] for of in (SIZES, tuple(COLOURS), SHAPES))
    return Thing(size, colour, shape)
