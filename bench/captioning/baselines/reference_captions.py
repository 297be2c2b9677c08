"""Baselines that need no features: people, and random training captions.

Of people, each caption of an image is scored against the others of the same image. In each turn
every image gives one of its captions, the first ones in the first turn, and has one reference
less. There are as many turns as the image with the fewest captions has captions; those beyond are
references in every turn. Scores are pooled over turns, so CIDEr and ROUGE-L are means over all
captions and BLEU is that of the added counts. A model is scored against all captions, which raises
its scores a little: the signature says how many they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.captioning.baselines.base import CaptionBaseline
from bench.captioning.data.corpus import CaptionSplit
from bench.captioning.data.words import Tokens
from bench.captioning.scoring import Turn
from bench.core.errors import BenchError
from bench.core.splits import SPLITS


class Human(CaptionBaseline):
    """Captions of the split itself, one left out at a time."""

    def describe(self, split: str) -> Sequence[Tokens]:
        return [own[0] for own in self.corpus.splits[split].captions]

    def turns(self, split: str) -> Sequence[Turn]:
        described = self.corpus.splits[split]
        captions = described.captions
        fewest = min(map(len, captions))
        if fewest < 2:
            name = described.names[[len(own) for own in captions].index(fewest)]
            raise BenchError(
                f"model human: {name} of {split} has one caption and no other to score it against"
            )
        return [
            Turn(captions=[own[number] for own in captions], references=_without(captions, number))
            for number in range(fewest)
        ]

    def references(self, split: CaptionSplit) -> Sequence[Sequence[Tokens]]:
        return _without(split.captions, 0)

    @property
    def num_parameters(self) -> int:
        return 0


def _without(captions: Sequence[Sequence[Tokens]], number: int) -> list[list[Tokens]]:
    return [[*own[:number], *own[number + 1 :]] for own in captions]


class RandomCaption(CaptionBaseline):
    """A random training caption for each image, all equally probable; the seed decides."""

    def describe(self, split: str) -> Sequence[Tokens]:
        train = self.corpus.splits["train"]
        stream = np.random.default_rng([self.seed, SPLITS.index(split)])
        drawn = stream.integers(train.num_captions, size=len(self.corpus.splits[split]))
        captions = [caption for own in train.captions for caption in own]
        return [captions[place] for place in drawn]

    @property
    def num_parameters(self) -> int:
        return int(self.corpus.splits["train"].rows.length_N.sum())
