"""The images of a captioning task, where this machine has them."""

from __future__ import annotations

from bench.captioning.data.images import Images, find_images
from bench.captioning.data.scenes import Scenes
from bench.captioning.data.specification import CaptionsSpec, SyntheticCaptionsSpec
from bench.data.sources import candidates
from bench.text.data.specification import CorpusSpec


def images_at_hand(corpus: CorpusSpec) -> Images | None:
    """Those of `$BENCH_DATA` or the cache, or the generator's; None where there are none."""
    if isinstance(corpus, SyntheticCaptionsSpec):
        return Scenes(corpus)
    if not isinstance(corpus, CaptionsSpec):
        return None
    places = (find_images(folder, corpus.images) for folder in candidates(corpus))
    return next((images for images in places if images is not None), None)
