"""Structs of the `corpus:` part of a captioning card. Imports neither torch nor numpy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bench.core.structs import Frozen
from bench.data.files import FileSpec, Mirror, check_relative

Count = Annotated[int, msgspec.Meta(ge=1)]
PARTS = ("train", "valid", "test")
COMPUTED = ("colour-histogram", "hog", "gist")
"""Features that need no weights, computed for any task whose images are there."""
PRETRAINED = ("vgg16-fc7", "resnet50")
"""Features by networks of torchvision, where it is installed."""


class GivenFeatures(Frozen, frozen=True, kw_only=True):
    """Features that come with the corpus: a row an image, in the order of a list of names."""

    file: str
    """Name of the `.npy` file in the card."""
    names: str
    """Name of the list in the card, a name a line."""
    what: str
    """Network and layer."""


class CaptionsSpec(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="captions"):
    """Images with several captions each.

    `layout` flickr8k: `files` captions, train, valid and test, lists of images; coco-karpathy:
    one JSON file, captions, whose marks `splits` sorts into train, valid and test. `images`: paths
    in the folder, a tar or a folder of image files, the first that is there. Features are `given`
    in files of the card, computed from the images, or the user's own NAME.npy and NAME.names.txt.
    """

    layout: Literal["flickr8k", "coco-karpathy"]
    folder: str
    licence: str
    obtain: str
    """Instructions for getting the files."""
    files: dict[str, FileSpec]
    mirrors: tuple[Mirror, ...] = ()
    splits: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    images: tuple[str, ...] = ()
    given: dict[str, GivenFeatures] = msgspec.field(default_factory=dict)
    features: str
    """Features that are read unless a run chooses others."""
    minimum_count: Count = 5
    """Words seen less often in the training captions are `<unk>`."""
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    """Images by split; what is not known is left out."""
    num_types: Count | None = None
    """Words of the vocabulary, without the three special ids."""

    def __post_init__(self) -> None:
        needed = self.text_files()
        needed += [name for given in self.given.values() for name in (given.file, given.names)]
        for name in needed:
            if name not in self.files:
                raise ValueError(f"{name!r} is not one of `files`: {', '.join(self.files)}")
        if self.layout == "coco-karpathy" and set(self.splits) != set(PARTS):
            raise ValueError(f"splits: name the marks of {', '.join(PARTS)}")
        for name in self.counts:
            if name not in PARTS:
                raise ValueError(f"counts: {name!r} is none of {', '.join(PARTS)}")
        for path in self.images:
            check_relative(path)
        if taken := set(self.given) & {*COMPUTED, *PRETRAINED}:
            raise ValueError(f"given: {', '.join(sorted(taken))} is computed here")

    def text_files(self) -> list[str]:
        """Names in the card of the files that every run reads."""
        return ["captions", *(PARTS if self.layout == "flickr8k" else ())]


class SyntheticCaptionsSpec(
    Frozen, frozen=True, kw_only=True, tag_field="kind", tag="synthetic-captions"
):
    """Scenes of coloured shapes with captions of a known grammar; see `.scenes`."""

    seed: int = 1
    num_train: Count
    num_valid: Count
    num_test: Count
    captions_per_image: Count = 5
    image_size: Annotated[int, msgspec.Meta(ge=36, le=384, multiple_of=3)] = 96
    """Pixels of a side."""
    rarer_share: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.25
    """Probability of the rarer of two ways to say the same."""
    features: str = "cells"
    """`cells`, or `grid`, the same with a row a cell for attention, or computed from the images."""
    minimum_count: Count = 1
    licence: str = "generated: no licence is needed"
