"""Generated scenes of coloured shapes with captions from a grammar: a perfect captioner exists.

No scene of one split is said of another, so that who copies a caption of the training images is
always wrong in something.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from bench.captioning.data.grammar import NUM_CONTENTS, SIDE, Scene, caption, probabilities, scene
from bench.captioning.data.images import picture
from bench.captioning.data.listing import Image
from bench.captioning.data.rendering import features, render
from bench.captioning.data.specification import PARTS, SyntheticCaptionsSpec
from bench.core.errors import BenchError
from bench.translation.data.grammar import draws

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Floats = npt.NDArray[np.float32]
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
