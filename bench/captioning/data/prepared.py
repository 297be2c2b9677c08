"""From a card to what an objective reads: images, captions and features by split.

locate -> list_captions -> open_features -> CaptionCorpus      or draw, where nothing is read
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bench.captioning.data.corpus import CaptionCorpus, assemble
from bench.captioning.data.extraction import computed, folder_of, in_cache, kept
from bench.captioning.data.images import Images, find_images
from bench.captioning.data.listing import THING, Listing, Problem, list_captions
from bench.captioning.data.scenes import Scenes
from bench.captioning.data.specification import (
    COMPUTED,
    PRETRAINED,
    CaptionsSpec,
    SyntheticCaptionsSpec,
)
from bench.captioning.data.store import FeatureStore, open_store
from bench.captioning.data.synthetic import draw
from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError, nearest
from bench.data.files import all_have_digests, digest_of, mismatch
from bench.data.problems import OnBad, Progress, Style, own_style, report_skipped, settle, shown
from bench.data.segmentation import UNKNOWN
from bench.data.sources import (
    Download,
    DownloadProgress,
    cache_folder,
    candidates,
    locate,
    print_status,
)
from bench.translation.data.specification import NUM_SPECIAL

# Features by torchvision's networks, where it is installed; weights only when asked for.
#
# vgg16-fc7     the second hidden layer of VGG-16's classifier, after its ReLU [4096]
#               (Simonyan and Zisserman, 2015), which the papers of 2015 read
# resnet50      the mean over the last feature map of ResNet-50 [2048] (He et al., 2016)


WEIGHTS = {"vgg16-fc7": "VGG16_Weights.IMAGENET1K_V1", "resnet50": "ResNet50_Weights.IMAGENET1K_V2"}


def pretrained(
    name: str,
    images: Images,
    cache: Path,
    *,
    task: str,
    weights: Download = "never",
    progress: Progress | None = None,
) -> FeatureStore:
    """The store from the cache, or made by the network where its weights are there.

    With `missing` the weights may be downloaded. Raises BenchError where torchvision, or without
    `missing` its weights, are not there.
    """
    recipe = f"{name}, torchvision {WEIGHTS[name]}, its transforms; 1"
    found = in_cache(name, folder_of(images, cache, recipe=recipe), recipe)
    if found is not None:
        return found
    network, transform = _network(name, task, weights)

    def extract(names: Sequence[str]) -> npt.NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            batch = torch.stack([transform(images(image)) for image in names])
            return np.asarray(network(batch).flatten(1).numpy(), np.float32)

    return kept(name, images, cache, recipe=recipe, extract=extract, progress=progress)


def _network(name: str, task: str, weights: Download) -> tuple[Any, Any]:
    """The network cut off behind the layer, and what it does to an image first."""
    try:
        models: Any = importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError) as error:
        raise BenchError(
            f"the features {name!r} need torchvision, which cannot be imported ({error}): pip "
            f"install torchvision, then `bench data {task} --features {name} --fetch`"
        ) from None
    import torch

    chosen = models.get_weight(WEIGHTS[name])
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
    if weights == "never" and not file.is_file():
        raise BenchError(
            f"the weights of {name} are not in {file.parent}: fetch them with `bench data {task} "
            f"--features {name} --fetch`"
        )
    if name == "vgg16-fc7":
        network = models.vgg16(weights=chosen)
        network.classifier = network.classifier[:5]
    else:
        network = models.resnet50(weights=chosen)
        network.fc = torch.nn.Identity()
    return network.eval(), chosen.transforms()


# Features by name: given with the corpus, computed from its images, or the user's own.
#
# squeezenet                              in files of the card, each with its checksum
# colour-histogram, hog, gist             computed here, kept in the cache
# vgg16-fc7, resnet50                     by torchvision, kept in the cache once made
# anything else                           NAME.npy and NAME.names.txt in the corpus's folder


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


def open_images(spec: CaptionsSpec | SyntheticCaptionsSpec) -> Images:
    """Images of a corpus by name: those in `$BENCH_DATA` or the cache, or the generator's.

    Raises BenchError where they are not there.
    """
    if isinstance(spec, SyntheticCaptionsSpec):
        return Scenes(spec)
    for folder in candidates(spec):
        if (images := find_images(folder, spec.images)) is not None:
            return images
    raise BenchError(
        f"The captions are here, the images are not: put {' or '.join(spec.images) or 'the images'}"
        f" into $BENCH_DATA/{spec.folder}/ and write the report again."
    )


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


def prepare_captions(
    spec: CaptionsSpec | SyntheticCaptionsSpec,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
    features: str | None = None,
    on_bad: OnBad = "refuse",
    download: Download = "never",
    weights: Download = "never",
    fetching: DownloadProgress | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> CaptionCorpus:
    """Find, check, cut and number a card's corpus, and open the features of its images.

    `features`: a name as in `bench.captioning.data.prepared`, the card's when not given. Raises
    BenchError for what is missing or not the card's, and, unless told to skip them, for bad
    captions, in one line that names and counts them.
    """
    cache = cache or cache_folder()
    if isinstance(spec, SyntheticCaptionsSpec):
        if path is not None:
            raise BenchError(f"{task} is generated and reads no files: leave out --data.path")
        chosen = features or spec.features
        return draw(spec, chosen, task=task, cache=cache, progress=progress)
    folder = locate(
        spec,
        task=task,
        twin=twin,
        path=path,
        needed=spec.text_files(),
        obtain=spec.obtain,
        download=download,
        progress=fetching,
    )
    listing = _listed(spec, folder)
    settle(listing.problems, on_bad, task=task, thing=THING)
    images = find_images(folder, spec.images)
    store = open_features(
        spec,
        features or spec.features,
        folder,
        task=task,
        images=images,
        cache=cache,
        weights=weights,
        progress=progress,
    )
    corpus = _corpus(spec, listing, store, task=task)
    return replace(
        corpus, images=images, checksums={**_checksums(spec, folder), **corpus.checksums}
    )


def _listed(spec: CaptionsSpec, folder: Path) -> Listing:
    """What the text files hold, checked against the card's facts."""
    paths = {name: folder / spec.files[name].path for name in spec.text_files()}
    for name, path in paths.items():
        if (reason := mismatch(path, spec.files[name])) is not None:
            raise BenchError(f"{reason}; put the original file in its place")
    listing = list_captions(spec, paths)
    _check_counts(spec, listing, folder)
    return listing


def _corpus(
    spec: CaptionsSpec, listing: Listing, store: FeatureStore, *, task: str
) -> CaptionCorpus:
    """What was listed, numbered, with all that is wrong in it."""
    corpus = assemble(listing.splits, store, task=task, minimum_count=spec.minimum_count)
    _check_types(spec, corpus, task)
    lost = tuple(_without_image(name) for name in listing.further if name not in store.row)
    return replace(corpus, skipped=listing.problems, problems=lost)


def _checksums(spec: CaptionsSpec, folder: Path) -> dict[str, str]:
    paths = [folder / spec.files[name].path for name in spec.text_files()]
    return {path.name: digest_of(path, "sha256") for path in paths}


def _check_types(spec: CaptionsSpec, corpus: CaptionCorpus, task: str) -> None:
    num_types = len(corpus.vocabulary) - NUM_SPECIAL
    if spec.num_types not in (None, num_types):
        raise BenchError(
            f"{task}: {num_types:,} words stand {spec.minimum_count} times in the training "
            f"captions where the card counts {spec.num_types:,}; put the original files in their "
            "place"
        )


def _check_counts(spec: CaptionsSpec, listing: Listing, folder: Path) -> None:
    for split, expected in spec.counts.items():
        bad = {p.image for p in listing.problems if p.split == split and p.kind == "no caption"}
        found = len(listing.splits[split]) + len(bad)
        if found != expected:
            raise BenchError(
                f"{folder}: {found:,} images in {split} where the card counts {expected:,}; put "
                "the original files in their place"
            )


def _without_image(name: str) -> Problem:
    return Problem(kind="no image", image=name, detail="captioned, but not among the images")


# What `bench data` says of captions: what is bad, splits, words, features.


NUM_LISTED = 50


def report(corpus: CaptionCorpus, *, task: str, checked: str) -> None:
    """Print every problem, then what there is; BenchError, at the end, for bad captions."""
    told = [*corpus.skipped, *corpus.problems]
    for problem in told[:NUM_LISTED]:
        print(problem)
    if len(told) > NUM_LISTED:
        print(f"and {len(told) - NUM_LISTED:,} more")
    for name, split in corpus.splits.items():
        counts_V = split.rows.counts(len(corpus.vocabulary))
        unknown = 100 * counts_V[UNKNOWN] / counts_V.sum()
        print(
            f"{name}: {len(split):,} images, {split.num_captions:,} captions, "
            f"{int(counts_V.sum()):,} words, {unknown:.2f}% unknown"
        )
    store = corpus.features
    shape = " x ".join(str(size) for size in store.array.shape[1:])
    print(f"features {store.name}: {len(store):,} images, {shape} numbers each: {store.what}")
    for name, bound in (corpus.bound or {}).items():
        print(f"{name}: no captioner has a CIDEr above {bound:.1f}%")
    print(f"{task}: {checked}; {len(corpus.vocabulary) - NUM_SPECIAL:,} words")
    settle(corpus.skipped, "refuse", task=task, thing=THING)


def load(
    card: Card, data: DataConfig, *, style: Style, progress: DownloadProgress | None
) -> CaptionCorpus:
    """Corpus of a card with the features of its images; see `prepare_captions`."""
    corpus = _prepare(card, data, style=style, progress=progress, weights="never")
    report_skipped(corpus.skipped, task=card.task, thing="caption or image", style=style)
    return corpus


def _prepare(
    card: Card,
    data: DataConfig,
    *,
    style: Style,
    progress: DownloadProgress | None,
    weights: Download,
) -> CaptionCorpus:
    assert isinstance(card.corpus, CaptionsSpec | SyntheticCaptionsSpec)
    with shown(f"features of {card.task}", style) as report:
        return prepare_captions(
            card.corpus,
            task=card.task,
            twin=card.twin,
            path=Path(data.path) if data.path else None,
            features=data.features,
            on_bad=data.on_bad,
            download=data.download,
            weights=weights,
            fetching=progress,
            progress=report,
        )


def inspect(
    card: Card, data: DataConfig, *, fetch: bool, progress: DownloadProgress | None
) -> None:
    """Print the files, what is bad, then what there is; makes the features on the way."""
    print_status(card, data.path)
    download: Download = "missing" if fetch else "never"
    data = msgspec.structs.replace(data, on_bad="skip", download=download)
    corpus = _prepare(card, data, style=own_style(), progress=progress, weights=download)
    checked = "generated"
    if isinstance(card.corpus, CaptionsSpec):
        checked = "verified" if all_have_digests(card.corpus) else "counted"
    report(corpus, task=card.task, checked=checked)
