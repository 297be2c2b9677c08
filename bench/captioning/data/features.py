"""Features by name: given with the corpus, computed from its images, or the user's own.

squeezenet                              in files of the card, each with its checksum
colour-histogram, hog, gist             computed here, kept in the cache
vgg16-fc7, resnet50                     by torchvision, kept in the cache once made
anything else                           NAME.npy and NAME.names.txt in the corpus's folder
"""

from __future__ import annotations

from pathlib import Path

from bench.captioning.data.extraction import Progress, computed
from bench.captioning.data.images import Images, find_images
from bench.captioning.data.pretrained import pretrained
from bench.captioning.data.specification import COMPUTED, PRETRAINED, CaptionsSpec
from bench.captioning.data.store import FeatureStore, open_store
from bench.core.errors import BenchError, nearest
from bench.data.sources import Download
from bench.data.verification import mismatch


def open_features(
    spec: CaptionsSpec,
    name: str,
    folder: Path,
    *,
    task: str,
    images: Images | None,
    cache: Path,
    weights: Download = "never",
    progress: Progress | None = None,
) -> FeatureStore:
    """The store of that name, checked; computed first where it is not in the cache.

    `weights`: whether those of a network may be downloaded, never or missing. Raises BenchError
    for features that are not there, and for rows, order or checksum that are not the card's.
    """
    if name in spec.given:
        return _given(spec, name, folder)
    if name in COMPUTED:
        return computed(name, _needed(images, spec, name, task), cache, progress=progress)
    if name in PRETRAINED:
        source = _needed(images, spec, name, task)
        return pretrained(name, source, cache, task=task, weights=weights, progress=progress)
    array, names = folder / f"{name}.npy", folder / f"{name}.names.txt"
    if not array.is_file() and not names.is_file():
        known = [*spec.given, *COMPUTED, *PRETRAINED]
        raise BenchError(
            f"{task} has no features {name!r}, {nearest(name, known)} (your own are "
            f"{array.name}, a row an image, and {names.name}, a name a line, in {folder})"
        )
    return open_store(name, array, names, what="the user's own")


def images_of(spec: CaptionsSpec, folder: Path) -> Images | None:
    """The images of a corpus, None where it lies there without them."""
    return find_images(folder, spec.images)


def _given(spec: CaptionsSpec, name: str, folder: Path) -> FeatureStore:
    given = spec.given[name]
    for file in (given.file, given.names):
        path = folder / spec.files[file].path
        reason = mismatch(path, spec.files[file]) if path.is_file() else None
        if reason is not None:
            raise BenchError(f"{reason}; put the original file in its place")
    array, names = (folder / spec.files[file].path for file in (given.file, given.names))
    return open_store(name, array, names, what=given.what)


def _needed(images: Images | None, spec: CaptionsSpec, name: str, task: str) -> Images:
    if images is None:
        raise BenchError(
            f"{task}: the features {name!r} are computed from the images, which are not there: put "
            f"{' or '.join(spec.images) or 'them'} in the folder {spec.folder}, from {spec.obtain}"
        )
    return images
