"""The corpus of a card of generated scenes: a perfect captioner exists.

No scene of one split occurs in another, so that a copy of a training caption is always wrong in
something.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from bench.captioning.data.corpus import CaptionCorpus, assemble
from bench.captioning.data.extraction import computed
from bench.captioning.data.images import picture
from bench.captioning.data.listing import Image
from bench.captioning.data.scenes import (
    NUM_CONTENTS,
    SIDE,
    Floats,
    Scene,
    draw_caption,
    draw_scene,
    features,
    render,
)
from bench.captioning.data.specification import COMPUTED, PARTS, SyntheticCaptionsSpec
from bench.captioning.data.store import FeatureStore
from bench.captioning.data.words import Tokens
from bench.core.errors import BenchError, nearest
from bench.data.problems import Progress
from bench.data.random import draws

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

RECIPE = "coverage of the parts of each cell, its mean colour; 1"
MOST = 0.9
"""Largest share of all scenes that may be asked for: the last ones are slow to find by chance."""
LONGEST = 4
SCALE = 10 * 100
"""CIDEr is ten times the mean cosine, here in percent."""


def draw_corpus(
    spec: SyntheticCaptionsSpec,
    name: str,
    *,
    task: str,
    cache: Path,
    progress: Progress | None = None,
) -> CaptionCorpus:
    """Corpus of a card, the same on every machine, with the features of that name."""
    scenes = Scenes(spec)
    listed = scenes.listed()
    store = _store(scenes, name, task, cache, progress)
    corpus = assemble(listed, store, task=task, minimum_count=spec.minimum_count)
    return replace(
        corpus,
        checksums={**splits_sha256(listed), **corpus.checksums},
        bound={split: cider_ceiling(corpus.splits[split].captions) for split in ("valid", "test")},
    )


def _store(
    scenes: Scenes, name: str, task: str, cache: Path, progress: Progress | None
) -> FeatureStore:
    if name in COMPUTED:
        return computed(name, scenes, cache, progress=progress)
    if name not in ("cells", "grid"):
        raise BenchError(
            f"{task} has no features {name!r}, {nearest(name, ('cells', 'grid', *COMPUTED))}"
        )
    grid_IRD = np.stack([features(scenes.pixels(image)) for image in scenes.names])
    return FeatureStore(
        name=name,
        array=grid_IRD if name == "grid" else grid_IRD.reshape(len(grid_IRD), -1),
        names=scenes.names,
        sha256=hashlib.sha256(f"{RECIPE} {name} {scenes.fingerprint()}".encode()).hexdigest(),
        what=RECIPE,
    )


class Scenes:
    """Scenes of a card by the names of their images, the same on every machine.

    Called with a name, opens the scene as a picture, so that features are computed as of
    photographs.
    """

    def __init__(self, spec: SyntheticCaptionsSpec) -> None:
        self.spec = spec
        self.splits = draw_scenes(spec)
        self.by_name = {
            f"{split}-{number:05}": found
            for split, drawn in self.splits.items()
            for number, found in enumerate(drawn, start=1)
        }

    @property
    def names(self) -> Sequence[str]:
        """Names of all images: train, valid, test."""
        return list(self.by_name)

    def fingerprint(self) -> str:
        return msgspec.json.encode(self.spec, order="deterministic").decode()

    def pixels(self, name: str) -> Floats:
        """Pixels between 0 and 1 [H, W, C]."""
        if name not in self.by_name:
            raise BenchError(f"there is no scene {name!r}")
        split, _, number = name.partition("-")
        stream = np.random.PCG64([self.spec.seed, PARTS.index(split), int(number)])
        return render(self.by_name[name], self.spec.image_size // SIDE, stream)

    def __call__(self, name: str) -> Picture:
        return picture(self.pixels(name))

    def listed(self) -> dict[str, tuple[Image, ...]]:
        """Every image with its captions, by split."""
        spec, found, names = self.spec, {}, iter(self.by_name)
        for place, (split, drawn) in enumerate(self.splits.items()):
            draw = draws(np.random.PCG64(spec.seed).jumped(10 + place)).__next__
            images = []
            for scene in drawn:
                captions = [
                    draw_caption(scene, draw, spec.rarer_share)
                    for _ in range(spec.captions_per_image)
                ]
                images.append(Image(name=next(names), tokens=tuple(captions)))
            found[split] = tuple(images)
        return found


def draw_scenes(spec: SyntheticCaptionsSpec) -> dict[str, list[Scene]]:
    """Different scenes by split; test is drawn first.

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
        draw = draws(np.random.PCG64(spec.seed).jumped(1 + PARTS.index(split))).__next__
        while len(found[split]) < sizes[split]:
            drawn = draw_scene(draw)
            if drawn.content not in seen:
                seen.add(drawn.content)
                found[split].append(drawn)
    return found


def splits_sha256(listed: Mapping[str, Sequence[Image]]) -> dict[str, str]:
    """Checksum of each split's names and captions."""
    found = {}
    for split, images in listed.items():
        lines = (f"{image.name}\t{' '.join(own)}\n" for image in images for own in image.tokens)
        found[f"{split} captions"] = hashlib.sha256("".join(lines).encode()).hexdigest()
    return found


def cider_ceiling(references: Sequence[Sequence[Tokens]]) -> float:
    """A CIDEr (percent) that no captions of these images exceed, however good.

    CIDEr (Vedantam et al., 2015) gives a caption h, for each length of n-grams, the mean over the
    references r of an image of cos(h, r), both as vectors of n-grams that are weighted by their
    rarity among images. That is h/|h| . (mean of r/|r|), at most the length of the mean, whatever
    h is; CIDEr-D takes from it only.
    """
    return SCALE * sum(_mean_length(references, size) for size in range(1, LONGEST + 1)) / LONGEST


def _mean_length(references: Sequence[Sequence[Tokens]], size: int) -> float:
    grams = [[Counter(_grams(tokens, size)) for tokens in image] for image in references]
    images_with = Counter(gram for image in grams for gram in set().union(*image))
    weight = {gram: math.log(len(grams) / number) for gram, number in images_with.items()}
    return sum(_length_of_mean(image, weight) for image in grams) / len(grams)


def _length_of_mean(image: Sequence[Counter[Tokens]], weight: dict[Tokens, float]) -> float:
    mean: dict[Tokens, float] = {}
    for counts in image:
        vector = {gram: number * weight[gram] for gram, number in counts.items()}
        length = math.sqrt(sum(value**2 for value in vector.values()))
        for gram, value in vector.items():
            mean[gram] = mean.get(gram, 0.0) + (value / length / len(image) if length else 0.0)
    return math.sqrt(sum(value**2 for value in mean.values()))


def _grams(tokens: Tokens, size: int) -> list[Tokens]:
    return [tokens[first : first + size] for first in range(len(tokens) - size + 1)]
