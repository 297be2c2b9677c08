"""Listed images become a corpus: words are numbered, features found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.data.listing import Image
from bench.captioning.data.store import FeatureStore
from bench.captioning.data.words import learn_vocabulary
from bench.core.errors import BenchError
from bench.data.rows import Rows


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
