"""A captioning corpus: images by split, the captions of each, and the features of all.

I images, N captions, D features of an image or of one of its R regions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.captioning.data.listing import Image, Problem
from bench.captioning.data.store import FeatureStore
from bench.captioning.data.words import CaptionVocabulary, Tokens, learn_vocabulary
from bench.core.errors import BenchError
from bench.data.rows import Rows

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionSplit:
    """The images of a split and their captions.

    `captions`: words of each caption of each image. `texts`: the same as they were written.
    `rows`: ids of all captions, an image's after another's, no ends. `feature_row`: of each image
    in the store [I]. `first`: place of each image's first caption among all [I]. `image_of`: the
    image that each caption is of [N].
    """

    names: Sequence[str]
    feature_row: Ids
    captions: Sequence[Sequence[Tokens]]
    texts: Sequence[Sequence[str]]
    rows: Rows
    first: Ids = field(init=False, repr=False)
    image_of: Ids = field(init=False, repr=False)

    def __post_init__(self) -> None:
        num_I = np.array([len(captions) for captions in self.captions], np.int64)
        assert int(num_I.sum()) == len(self.rows)
        assert len(self.names) == len(self.feature_row) == len(self.texts) == len(num_I)
        object.__setattr__(self, "first", np.cumsum(num_I) - num_I)
        object.__setattr__(self, "image_of", np.repeat(np.arange(len(num_I)), num_I))

    def __len__(self) -> int:
        """Images."""
        return len(self.names)

    @property
    def num_captions(self) -> int:
        """Captions of all images."""
        return len(self.rows)

    @property
    def num_tokens(self) -> int:
        """Words and ends of all captions."""
        return int(self.rows.length_N.sum()) + self.num_captions

    def ids(self, image: int, number: int) -> Ids:
        """The ids of one caption of an image, without `</s>`."""
        if not 0 <= number < len(self.captions[image]):
            raise IndexError(number)
        return self.rows[int(self.first[image]) + number]

    def sha256(self) -> str:
        """Checksum of the images' names and the words of their captions."""
        digest = hashlib.sha256()
        for name, captions in zip(self.names, self.captions, strict=True):
            digest.update(f"{name}\n".encode())
            digest.update("".join(f"\t{' '.join(tokens)}\n" for tokens in captions).encode())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionCorpus:
    """What a captioner is trained and measured on.

    `skipped`: what was left out of train, valid and test by `on_bad: skip`; a number measured
    without it is not the protocol's and must say so. `problems`: what is wrong outside of these
    and changes no number. `bound`: of generated scenes, a CIDEr (percent) that no captioner
    exceeds on a split; `bound_nats`: the grammar's own mean -log P(word | scene, words before),
    ends of captions included. `images` opens an image by its name, None where there are none.
    """

    vocabulary: CaptionVocabulary
    splits: Mapping[str, CaptionSplit]
    features: FeatureStore
    checksums: Mapping[str, str]
    skipped: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()
    bound: Mapping[str, float] | None = None
    bound_nats: Mapping[str, float] | None = None
    images: Callable[[str], Picture] | None = None


# Listed images become a corpus: words are numbered, features found.


def assemble(
    listed: Mapping[str, Sequence[Image]], store: FeatureStore, *, task: str, minimum_count: int
) -> CaptionCorpus:
    """Number the captions by the words of the training ones, and find each image's features."""
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
            texts=tuple(image.texts for image in images_I),
            rows=Rows.of(vocabulary.encode(t) for image in images_I for t in image.tokens),
        )
    return CaptionCorpus(
        vocabulary=vocabulary,
        splits=splits,
        features=store,
        checksums={f"features {store.name}": store.sha256, "vocabulary": vocabulary.sha256()},
    )
