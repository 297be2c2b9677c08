"""The corpus of a card of generated scenes."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.captioning.data.corpus import CaptionCorpus, assemble
from bench.captioning.data.extraction import computed
from bench.captioning.data.scenes import Scenes, splits_sha256
from bench.captioning.data.specification import COMPUTED, SyntheticCaptionsSpec
from bench.captioning.data.store import FeatureStore
from bench.captioning.data.words import Tokens
from bench.core.errors import BenchError, nearest
from bench.data.problems import Progress

# How much CIDEr the references of some images leave to anyone.
#
# CIDEr (Vedantam et al., 2015) gives a caption h, for each length of n-grams, the mean over the
# references r of an image of cos(h, r), both as vectors of n-grams that are weighted by their
# rareness among images. That is h/|h| . (mean of r/|r|), at most the length of the mean, whatever h
# is; CIDEr-D takes from it only.


LONGEST = 4
SCALE = 10 * 100
"""CIDEr is ten times the mean cosine, here in percent."""


def cider_ceiling(references: Sequence[Sequence[Tokens]]) -> float:
    """A CIDEr (percent) that no captions of these images exceed, one's who knows them included."""
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


RECIPE = "coverage of the parts of each cell, its mean colour; 1"


def draw(
    spec: SyntheticCaptionsSpec,
    features: str,
    *,
    task: str,
    cache: Path,
    progress: Progress | None = None,
) -> CaptionCorpus:
    """The corpus of a card, the same wherever it is drawn, with the features of that name."""
    scenes = Scenes(spec)
    listed = scenes.listed()
    corpus = assemble(
        listed,
        _store(scenes, features, task, cache, progress),
        task=task,
        minimum_count=spec.minimum_count,
    )
    return replace(
        corpus,
        checksums={**splits_sha256(listed), **corpus.checksums},
        images=scenes,
        bound={split: cider_ceiling(corpus.splits[split].captions) for split in ("valid", "test")},
        bound_nats=scenes.bound_nats(listed),
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
    grid_IRD = scenes.grid()
    array = grid_IRD if name == "grid" else grid_IRD.reshape(len(grid_IRD), -1)
    return FeatureStore(
        name=name,
        array=array,
        names=scenes.names,
        sha256=hashlib.sha256(f"{RECIPE} {name} {scenes.fingerprint()}".encode()).hexdigest(),
        what=RECIPE,
    )
