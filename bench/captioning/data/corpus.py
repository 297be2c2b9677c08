"""A captioning corpus: images by split, the captions of each, and the features of all.

Shapes: I images, N captions, D features of an image or of one of its R regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.captioning.data.listing import Image, Problem
from bench.captioning.data.store import FeatureStore
from bench.captioning.data.words import CaptionVocabulary, Tokens, learn_vocabulary
from bench.core.errors import BenchError
from bench.data.rows import Rows

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionSplit:
    """Images of a split and their captions."""

    names: Sequence[str]
    feature_row: Ids
    """Row of each image in the store [I]."""
    captions: Sequence[Sequence[Tokens]]
    """Words of each caption of each image."""
    rows: Rows
    """Ids of all captions, image by image, without ends."""
    first: Ids = field(init=False, repr=False)
    """Place of each image's first caption among all [I]."""
    image_of: Ids = field(init=False, repr=False)
    """Image of each caption [N]."""

    def __post_init__(self) -> None:
        num_I = np.array([len(captions) for captions in self.captions], np.int64)
        assert int(num_I.sum()) == len(self.rows)
        assert len(self.names) == len(self.feature_row) == len(num_I)
        object.__setattr__(self, "first", np.cumsum(num_I) - num_I)
        object.__setattr__(self, "image_of", np.repeat(np.arange(len(num_I)), num_I))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.names)

    @property
    def num_captions(self) -> int:
        """Captions of all images."""
        return len(self.rows)

    @property
    def num_tokens(self) -> int:
        """Words and ends of all captions."""
        return int(self.rows.length_N.sum()) + self.num_captions


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionCorpus:
    """Training and evaluation data of captioners."""

    vocabulary: CaptionVocabulary
    splits: Mapping[str, CaptionSplit]
    features: FeatureStore
    checksums: Mapping[str, str]
    skipped: tuple[Problem, ...] = ()
    """Captions and images that `on_bad: skip` left out of train, valid and test; the signature of
    what is measured without them says so."""
    problems: tuple[Problem, ...] = ()
    """Problems outside of the splits, which change no number."""
    bound: Mapping[str, float] | None = None
    """CIDEr (percent) that no captioner exceeds on a split of generated scenes."""


def assemble(
    listed: Mapping[str, Sequence[Image]], store: FeatureStore, *, task: str, minimum_count: int
) -> CaptionCorpus:
    """Corpus of listed images, numbered by the words of the training captions."""
    train = [tokens for image in listed["train"] for tokens in image.tokens]
    vocabulary = learn_vocabulary(train, minimum_count)
    splits = {}
    for split, images_I in listed.items():
        if not images_I:
            raise BenchError(f"{task}: no usable image is left in the {split} split")
        names = tuple(image.name for image in images_I)
        splits[split] = CaptionSplit(
            names=names,
            feature_row=store.rows_of(names, split=split, task=task),
            captions=tuple(image.tokens for image in images_I),
            rows=Rows.of(vocabulary.encode(t) for image in images_I for t in image.tokens),
        )
    return CaptionCorpus(
        vocabulary=vocabulary,
        splits=splits,
        features=store,
        checksums={f"features {store.name}": store.sha256, "vocabulary": vocabulary.sha256()},
    )
