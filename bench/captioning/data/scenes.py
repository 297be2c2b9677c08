"""Generated scenes of coloured shapes with captions from a grammar: a perfect captioner exists.

No scene of one split is said of another, so that who copies a caption of the training images is
always wrong in something.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from bench.captioning.data.images import picture
from bench.captioning.data.listing import Image
from bench.captioning.data.specification import PARTS, SyntheticCaptionsSpec
from bench.captioning.data.words import Tokens
from bench.core.errors import BenchError
from bench.data.grammar import draws
from bench.data.language import uniform

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


# What a grammar says of two coloured shapes, and how likely each of its captions is.
#
#     a large red circle left of a small blue ring           0.75 ^ 3
#     there is a small blue ring right of a big red circle   0.25 ^ 3
#
# Three things are said in either of two ways, whatever is seen: what is left or above is named
# first or last; `there is` stands before it or not; large is big. The rarer way is taken with
# probability q, independently. So of every scene every caption's probability is known, and the
# mean of -log P(word | scene, words before), ends of captions included, is what no captioner goes
# below: `bound_nats`. No caption of one scene is one of another.


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


# Scenes as pixels, and as features that say what stands where.
#
# A scene is a dark square of 3 x 3 cells, a thing in the middle of its cell or a little beside it,
# with noise all over. The features of a cell are how much of each of its 6 x 6 parts is unlike the
# background, and its mean colour: shape and colour each by themselves, so that a linear layer reads
# them. `cells` are those of all cells in a row, `grid` has a row a cell, for attention.
#
# C colours, H W pixels, R cells, D features.


Floats = npt.NDArray[np.float32]
BACKGROUND, NOISE = 0.12, 0.06
RADIUS = {"small": 0.24, "large": 0.4}
JITTER = 0.06
"""Of a cell's side, to either side."""
SUBDIVISIONS = 6
UNLIKE = 0.25
"""The distance of a colour from the background that counts as all unlike it."""


def render(scene: Scene, cell: int, stream: np.random.PCG64) -> Floats:
    """Pixels between 0 and 1 [H, W, C]; `stream` says where exactly things are, and the noise."""
    side = SIDE * cell
    image_HWC = np.full((side, side, 3), BACKGROUND, np.float32)
    for thing, (row, column) in zip((scene.first, scene.last), scene.places, strict=True):
        shift = (2 * uniform(stream, 2) - 1) * JITTER * cell
        place = image_HWC[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
        inside_HW1 = coverage(thing, cell, (float(shift[0]), float(shift[1])))[:, :, None]
        place += inside_HW1 * (np.array(COLOURS[thing.colour], np.float32) - place)
    raw = stream.random_raw(image_HWC.size // 8 + 1).astype("<u8").view(np.uint8)
    noise = raw[: image_HWC.size].reshape(image_HWC.shape) / np.float32(127.5) - 1
    image_HWC += NOISE * noise
    return np.asarray(np.clip(image_HWC, 0, 1), np.float32)


def coverage(thing: Thing, cell: int, shift: tuple[float, float]) -> Floats:
    """How much of each pixel of a cell the thing covers [cell, cell]."""
    row, column = _pixels(cell)
    y, x = row - shift[0], column - shift[1]
    radius = RADIUS[thing.size] * cell
    far = np.hypot(x, y)
    if thing.shape == "circle":
        depth = radius - far
    elif thing.shape == "ring":
        depth = np.minimum(radius - far, far - 0.55 * radius)
    elif thing.shape == "square":
        depth = 0.88 * radius - np.maximum(np.abs(x), np.abs(y))
    elif thing.shape == "cross":
        bars = (np.maximum(np.abs(x) / 0.35, np.abs(y)), np.maximum(np.abs(x), np.abs(y) / 0.35))
        depth = radius - np.minimum(*bars)
    else:
        assert thing.shape == "triangle"
        depth = np.minimum(0.75 * radius - y, 0.45 * (y + radius) - 0.9 * np.abs(x))
    return np.asarray(np.clip(depth + 0.5, 0, 1), np.float32)


def features(image_HWC: Floats) -> Floats:
    """Of each cell the coverage of its parts and its mean colour [R, D]."""
    channels_CHW = np.ascontiguousarray(image_HWC.transpose(2, 0, 1)) - np.float32(BACKGROUND)
    red, green, blue = np.abs(channels_CHW)
    unlike_HW = np.minimum(np.maximum(np.maximum(red, green), blue) / UNLIKE, 1)
    fine, coarse = _pooling(len(red), SIDE * SUBDIVISIONS), _pooling(len(red), SIDE)
    parts = (
        (fine @ unlike_HW @ fine.T)
        .reshape(SIDE, SUBDIVISIONS, SIDE, SUBDIVISIONS)
        .transpose(0, 2, 1, 3)
    )
    colours = (coarse @ channels_CHW @ coarse.T).transpose(1, 2, 0)
    found = [parts.reshape(SIDE**2, -1), 4 * colours.reshape(SIDE**2, 3)]
    return np.concatenate(found, axis=1).astype(np.float32)


@functools.cache
def _pooling(num_pixels: int, num_parts: int) -> Floats:
    """The mean over each of some equal parts as a matrix [parts, pixels]."""
    edges = np.linspace(0, num_pixels, num_parts + 1)
    first, end = np.arange(num_pixels), np.arange(num_pixels) + 1
    overlap = np.minimum(end, edges[1:, None]) - np.maximum(first, edges[:-1, None])
    return np.asarray(np.maximum(overlap, 0) * num_parts / num_pixels, np.float32)


@functools.cache
def _pixels(cell: int) -> tuple[Floats, Floats]:
    middle = (np.arange(cell) - (cell - 1) / 2).astype(np.float32)
    return middle[:, None], middle[None, :]


MOST = 0.9
"""Share of all contents that may be asked for: the last ones are slow to find by chance."""


class Scenes:
    """The scenes of a card by the names of their images, the same wherever they are drawn.

    Opens them as pictures, so that features are computed of them as of photographs.
    """

    def __init__(self, spec: SyntheticCaptionsSpec) -> None:
        self.spec = spec
        self.splits = {split: list(drawn) for split, drawn in draw_scenes(spec).items()}
        self.by_name = {
            f"{split}-{number:05}": found
            for split, drawn in self.splits.items()
            for number, found in enumerate(drawn, start=1)
        }

    @property
    def names(self) -> Sequence[str]:
        """Of all images: train, valid, test."""
        return list(self.by_name)

    def fingerprint(self) -> str:
        """Changes whenever an image does."""
        return msgspec.json.encode(self.spec, order="deterministic").decode()

    def pixels(self, name: str) -> Floats:
        """Between 0 and 1 [H, W, C]."""
        if name not in self.by_name:
            raise BenchError(f"there is no scene {name!r}")
        split, _, number = name.partition("-")
        stream = np.random.PCG64([self.spec.seed, PARTS.index(split), int(number)])
        return render(self.by_name[name], self.spec.image_size // SIDE, stream)

    def __call__(self, name: str) -> Picture:
        """The same as a picture."""
        return picture(self.pixels(name))

    def grid(self) -> Floats:
        """The features of the cells of every image, in the order of the names [I, R, D]."""
        return np.stack([features(self.pixels(name)) for name in self.by_name])

    def listed(self) -> dict[str, tuple[Image, ...]]:
        """Every image with its captions, by split."""
        found, names = {}, iter(self.by_name)
        for place, (split, drawn) in enumerate(self.splits.items()):
            number = draws(np.random.PCG64(self.spec.seed).jumped(10 + place)).__next__
            images = []
            for seen in drawn:
                said = tuple(
                    caption(seen, number, self.spec.rarer_share)
                    for _ in range(self.spec.captions_per_image)
                )
                texts = tuple(" ".join(tokens) for tokens in said)
                images.append(Image(name=next(names), texts=texts, tokens=said))
            found[split] = tuple(images)
        return found

    def bound_nats(self, listed: Mapping[str, Sequence[Image]]) -> dict[str, float]:
        """The mean of -log P(word | scene, words before) by split, ends of captions included."""
        found = {}
        for split in ("valid", "test"):
            nats = num_tokens = 0.0
            for seen, image in zip(self.splits[split], listed[split], strict=True):
                chances = probabilities(seen, self.spec.rarer_share)
                nats -= sum(math.log(chances[tokens]) for tokens in image.tokens)
                num_tokens += sum(len(tokens) + 1 for tokens in image.tokens)
            found[split] = nats / num_tokens
        return found


def draw_scenes(spec: SyntheticCaptionsSpec) -> dict[str, list[Scene]]:
    """Scenes by split; test is drawn first, and training without both others' contents.

    Raises BenchError for more scenes than there are.
    """
    sizes = dict(zip(PARTS, (spec.num_train, spec.num_valid, spec.num_test), strict=True))
    most = int(MOST * NUM_CONTENTS)
    if sum(sizes.values()) > most:
        raise BenchError(
            f"the grammar has too few different scenes for {sum(sizes.values()):,}: ask for "
            f"{most:,} at the most"
        )
    seen = set()
    found: dict[str, list[Scene]] = {split: [] for split in PARTS}
    for split in reversed(PARTS):
        number = draws(np.random.PCG64(spec.seed).jumped(1 + PARTS.index(split))).__next__
        while len(found[split]) < sizes[split]:
            drawn = scene(number)
            if drawn.content not in seen:
                seen.add(drawn.content)
                found[split].append(drawn)
    return found


def splits_sha256(listed: Mapping[str, Sequence[Image]]) -> dict[str, str]:
    """Checksum of each split's names and captions."""
    found = {}
    for split, images in listed.items():
        lines = (f"{image.name}\t{text}\n" for image in images for text in image.texts)
        found[f"{split} captions"] = hashlib.sha256("".join(lines).encode()).hexdigest()
    return found
