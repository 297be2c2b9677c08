"""From a card to what an objective reads: images, captions and features by split.

locate -> list_captions -> open_features -> CaptionCorpus, or draw_corpus where nothing is read.

    squeezenet                              features in files of the card, each with its checksum
    colour-histogram, hog, gist             computed, kept in the cache
    vgg16-fc7                               second hidden layer of the classifier of VGG-16, after
                                            its ReLU [4096] (Simonyan and Zisserman, 2015), which
                                            the papers of 2015 read
    resnet50                                mean over the last feature map of ResNet-50 [2048] (He
                                            et al., 2016)
    any other name                          NAME.npy and NAME.names.txt in the corpus's folder

Networks are torchvision's, where it is installed; their features are kept in the cache, their
weights downloaded only when asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bench.captioning.data.corpus import CaptionCorpus, assemble
from bench.captioning.data.extraction import cached, computed, folder_of, in_cache
from bench.captioning.data.images import Images, find_images
from bench.captioning.data.listing import Listing, Problem, list_captions
from bench.captioning.data.specification import (
    COMPUTED,
    PRETRAINED,
    CaptionsSpec,
    SyntheticCaptionsSpec,
)
from bench.captioning.data.store import FeatureStore, open_store
from bench.captioning.data.synthetic import Scenes, draw_corpus
from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError, nearest
from bench.data.files import all_have_digests, digest_of, mismatch
from bench.data.identity import FEATURES, file_sha256, unpinned_files
from bench.data.problems import (
    Progress,
    Style,
    check_problems,
    default_style,
    progress_bar,
    report_skipped,
)
from bench.data.sources import (
    Download,
    DownloadProgress,
    cache_folder,
    candidates,
    locate,
    own_folder,
    print_status,
)
from bench.data.tokens import NUM_SPECIAL, UNKNOWN

THING = "caption or image"
NUM_LISTED = 50
"""Problems that `bench data` prints."""
WEIGHTS = {"vgg16-fc7": "VGG16_Weights.IMAGENET1K_V1", "resnet50": "ResNet50_Weights.IMAGENET1K_V2"}


def load(
    card: Card, data: DataConfig, *, style: Style, progress: DownloadProgress | None
) -> CaptionCorpus:
    """Corpus of a card with the features of its images; see `prepare`."""
    with progress_bar(f"features of {card.task}", style) as report:
        corpus = prepare(card, data, fetching=progress, progress=report)
    report_skipped(corpus.skipped, task=card.task, thing=THING, style=style)
    return corpus


def inspect(
    card: Card, data: DataConfig, *, fetch: bool, progress: DownloadProgress | None
) -> None:
    """Print the files, every problem and the contents of a corpus; computes its features."""
    print_status(card, data)
    download: Download = "missing" if fetch else "never"
    data = msgspec.structs.replace(data, on_bad="skip", download=download)
    with progress_bar(f"features of {card.task}", default_style()) as report:
        corpus = prepare(card, data, weights=download, fetching=progress, progress=report)
    checked = "generated"
    if isinstance(card.corpus, CaptionsSpec):
        checked = "verified" if all_have_digests(card.corpus) else "counted"
    _report(corpus, task=card.task, checked=checked)


def _report(corpus: CaptionCorpus, *, task: str, checked: str) -> None:
    """Print problems and contents; BenchError, at the end, for bad captions."""
    problems = [*corpus.skipped, *corpus.problems]
    for problem in problems[:NUM_LISTED]:
        print(problem)
    if len(problems) > NUM_LISTED:
        print(f"and {len(problems) - NUM_LISTED:,} more")
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
    check_problems(corpus.skipped, "refuse", task=task, thing=THING)


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


def prepare(
    card: Card,
    data: DataConfig,
    *,
    weights: Download = "never",
    fetching: DownloadProgress | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> CaptionCorpus:
    """Corpus of a card, found, checked and numbered, with the features of its images.

    `weights`: whether those of a network may be downloaded. Raises BenchError for what is missing
    or not the card's, and, unless told to skip them, for bad captions, in one line that names and
    counts them.
    """
    spec, task, cache = card.corpus, card.task, cache or cache_folder()
    assert isinstance(spec, CaptionsSpec | SyntheticCaptionsSpec)
    features = data.features or spec.features
    if isinstance(spec, SyntheticCaptionsSpec):
        if data.path is not None:
            raise BenchError(f"{task} is generated and reads no files: leave out --data.path")
        return draw_corpus(spec, features, task=task, cache=cache, progress=progress)
    folder = locate(
        spec,
        task=task,
        twin=card.twin,
        path=own_folder(task, data),
        needed=spec.text_files(),
        obtain=spec.obtain,
        download=data.download,
        progress=fetching,
    )
    listing = _listed(spec, folder)
    check_problems(listing.problems, data.on_bad, task=task, thing=THING)
    store = open_features(
        spec, features, folder, task=task, cache=cache, weights=weights, progress=progress
    )
    corpus = assemble(listing.splits, store, task=task, minimum_count=spec.minimum_count)
    _check_types(spec, corpus, task)
    paths = [folder / spec.files[name].path for name in spec.text_files()]
    return replace(
        corpus,
        skipped=listing.problems,
        problems=tuple(
            Problem(kind="no image", image=name, detail="captioned, but not among the images")
            for name in listing.further
            if name not in store.row
        ),
        checksums={**{each.name: digest_of(each, "sha256") for each in paths}, **corpus.checksums},
    )


def unpinned(card: Card, data: DataConfig) -> Mapping[str, str]:
    """Checksums of a user's own features, and of files that the card has no checksum of."""
    spec = card.corpus
    if not isinstance(spec, CaptionsSpec):
        return {}
    name = data.features or spec.features
    found = unpinned_files(spec, card, data, spec.text_files())
    if name in (*COMPUTED, *PRETRAINED):
        return found
    if (given := spec.given.get(name)) is not None:
        own = unpinned_files(spec, card, data, (given.file, given.names))
        return found | {f"{FEATURES}{file}": sha for file, sha in own.items()}
    for folder in candidates(spec, own_folder(card.task, data)):
        paths = [folder / f"{name}.npy", folder / f"{name}.names.txt"]
        if all(path.is_file() for path in paths):
            return found | {f"{FEATURES}{path.name}": file_sha256(path) for path in paths}
    return found


def _listed(spec: CaptionsSpec, folder: Path) -> Listing:
    """Listing of the text files, checked against the facts of the card."""
    for name in spec.text_files():
        _check_file(spec, name, folder)
    listing = list_captions(spec, {name: folder / spec.files[name].path for name in spec.files})
    for split, expected in spec.counts.items():
        bad = {p.image for p in listing.problems if p.split == split and p.kind == "no caption"}
        found = len(listing.splits[split]) + len(bad)
        if found != expected:
            raise BenchError(
                f"{folder}: {found:,} images in {split} where the card counts {expected:,}; put "
                "the original files in their place"
            )
    return listing


def _check_file(spec: CaptionsSpec, name: str, folder: Path) -> None:
    if (reason := mismatch(folder / spec.files[name].path, spec.files[name])) is not None:
        raise BenchError(f"{reason}; put the original file in its place")


def _check_types(spec: CaptionsSpec, corpus: CaptionCorpus, task: str) -> None:
    num_types = len(corpus.vocabulary) - NUM_SPECIAL
    if spec.num_types not in (None, num_types):
        raise BenchError(
            f"{task}: {num_types:,} words stand {spec.minimum_count} times in the training "
            f"captions where the card counts {spec.num_types:,}; put the original files in their "
            "place"
        )


def open_features(
    spec: CaptionsSpec,
    name: str,
    folder: Path,
    *,
    task: str,
    cache: Path,
    weights: Download = "never",
    progress: Progress | None = None,
) -> FeatureStore:
    """Features of that name, checked; computed first where they are not in the cache.

    `weights`: whether those of a network may be downloaded, never or missing. Raises BenchError
    for features that are not there, and for rows, order or checksum that are not the card's.
    """
    if (given := spec.given.get(name)) is not None:
        paths = [folder / spec.files[file].path for file in (given.file, given.names)]
        for file, path in zip((given.file, given.names), paths, strict=True):
            if path.is_file():
                _check_file(spec, file, folder)
        return open_store(name, *paths, what=given.what)
    if name in (*COMPUTED, *PRETRAINED):
        if (images := find_images(folder, spec.images)) is None:
            raise BenchError(
                f"{task}: the features {name!r} are computed from the images, which are not there: "
                f"put {' or '.join(spec.images) or 'them'} in the folder {spec.folder}, from "
                f"{spec.obtain}"
            )
        if name in COMPUTED:
            return computed(name, images, cache, progress=progress)
        return pretrained(name, images, cache, task=task, weights=weights, progress=progress)
    array, names = folder / f"{name}.npy", folder / f"{name}.names.txt"
    if not array.is_file() and not names.is_file():
        known = [*spec.given, *COMPUTED, *PRETRAINED]
        raise BenchError(
            f"{task} has no features {name!r}, {nearest(name, known)} (your own are "
            f"{array.name}, a row an image, and {names.name}, a name a line, in {folder})"
        )
    return open_store(name, array, names, what="the user's own")


def pretrained(
    name: str,
    images: Images,
    cache: Path,
    *,
    task: str,
    weights: Download = "never",
    progress: Progress | None = None,
) -> FeatureStore:
    """Features by a network, from the cache or computed where its weights are there.

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

    return cached(name, images, cache, recipe=recipe, extract=extract, progress=progress)


def _network(name: str, task: str, weights: Download) -> tuple[Any, Any]:
    """Network cut off behind the layer, and its transform of images."""
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
