"""From a card to what an objective reads: images, captions and features by split.

locate -> list_captions -> open_features -> CaptionCorpus      or draw, where nothing is read
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.captioning.data.assembly import assemble
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.data.extraction import Progress
from bench.captioning.data.features import images_of, open_features
from bench.captioning.data.listing import Listing, list_captions
from bench.captioning.data.problems import THING, Problem
from bench.captioning.data.specification import CaptionsSpec, SyntheticCaptionsSpec
from bench.captioning.data.store import FeatureStore
from bench.captioning.data.synthetic import draw
from bench.core.errors import BenchError
from bench.data.problems import OnBad, settle
from bench.data.sources import Download, cache_folder, locate
from bench.data.sources import Progress as Fetching
from bench.data.verification import digest_of, mismatch
from bench.translation.data.specification import NUM_SPECIAL


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
    fetching: Fetching | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> CaptionCorpus:
    """Find, check, cut and number a card's corpus, and open the features of its images.

    `features`: a name as in `bench.captioning.data.features`, the card's when not given. Raises
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
    images = images_of(spec, folder)
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
