"""A random training caption for each image: what captions score that say nothing of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.captioning.baselines.baseline import CaptionBaseline
from bench.captioning.data.words import Tokens
from bench.text.data.specification import SPLITS


class RandomCaption(CaptionBaseline):
    """Any training caption for any image, all being equally probable; the seed decides."""

    def __init__(self) -> None:
        pass

    def describe(self, split: str) -> Sequence[Tokens]:
        train = self.corpus.splits["train"]
        stream = np.random.default_rng([self.seed, SPLITS.index(split)])
        drawn = stream.integers(train.num_captions, size=len(self.corpus.splits[split]))
        image = train.image_of[drawn]
        places = zip(image.tolist(), (drawn - train.first[image]).tolist(), strict=True)
        return [train.captions[place][number] for place, number in places]

    @property
    def num_parameters(self) -> int:
        return int(self.corpus.splits["train"].rows.length_N.sum())
