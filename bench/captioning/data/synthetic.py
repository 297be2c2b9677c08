"""The corpus of a card of generated scenes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from bench.captioning.data.assembly import assemble
from bench.captioning.data.ceiling import cider_ceiling
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.data.extraction import Progress, computed
from bench.captioning.data.scenes import Scenes, splits_sha256
from bench.captioning.data.specification import COMPUTED, SyntheticCaptionsSpec
from bench.captioning.data.store import FeatureStore
from bench.core.errors import BenchError, nearest

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
