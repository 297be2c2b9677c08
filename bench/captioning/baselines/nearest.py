"""The captions of the nearest training images: one of the nearest, or the consensus of k.

Devlin et al. (2015); see `search`, `similarity` and `consensus`. Nothing is learned: the model is
the training images' features and captions. With k = 1 the captions of the nearest image vote among
themselves; with m = 0 no vote is taken, and its first caption is given.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np

from bench.captioning.baselines.approximate import approximate
from bench.captioning.baselines.baseline import CaptionBaseline
from bench.captioning.baselines.consensus import SHARED_K, shared_consensus
from bench.captioning.baselines.search import Distance, Images, nearest
from bench.captioning.baselines.similarity import SIMILARITIES, Likeness, Similarity
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.data.words import Tokens
from bench.captioning.metrics.ngrams import Ints
from bench.core.errors import BenchError
from bench.text.baselines.baseline import Report

Count = Annotated[int, msgspec.Meta(ge=1)]
Fellows = Annotated[int, msgspec.Meta(ge=0)]
NUM_CHECKED = 100
"""Queries whose neighbours by faiss are compared with the exact ones."""


class Nearest(CaptionBaseline):
    """The caption of the k nearest training images that m others of theirs confirm best.

    `index` faiss looks for neighbours in a part of the images only.
    """

    def __init__(
        self,
        *,
        k: Count = 90,
        m: Fellows = 125,
        similarity: Likeness = "cider",
        distance: Distance = "cosine",
        index: Literal["exact", "faiss"] = "exact",
    ) -> None:
        self.k, self.m, self.likeness = k, m, similarity
        self.distance, self.index = distance, index

    def fit(self, corpus: CaptionCorpus, *, seed: int, report: Report | None = None) -> None:
        super().fit(corpus, seed=seed, report=report)
        train = corpus.splits["train"]
        if self.k > len(train):
            raise BenchError(
                f"model.k {self.k:,}: there are {len(train):,} training images, ask for fewer"
            )
        self.captions = [caption for captions in train.captions for caption in captions]
        self.first_I = np.append(train.first, len(self.captions))
        self._similarity: Similarity | None = None

    def describe(self, split: str) -> Sequence[Tokens]:
        return [self.captions[place] for place in self.chosen(split).tolist()]

    def chosen(self, split: str) -> Ints:
        """The training caption of each image of a split [Q], numbered image by image."""
        begun = time.perf_counter()
        # As many as a search over k may come to ask for.
        found_Qk = self.neighbours(split, num=max(self.k, *SHARED_K))
        searched = time.perf_counter()
        chosen_Q = shared_consensus(
            lambda: self.similarity, self.first_I, found_Qk, k=self.k, m=self.m, key=self._key()
        )
        if self.report is not None:
            self.report(
                f"nearest: {found_Qk.shape[1]} neighbours of {len(found_Qk):,} images in "
                f"{searched - begun:.1f} s, consensus in {time.perf_counter() - searched:.1f} s"
            )
        return chosen_Q

    def neighbours(self, split: str, *, num: int) -> Ints:
        """The nearest training images of each image of a split, nearest first.

        `num` of them, or all where there are fewer.
        """
        corpus = self.corpus
        stored, queries = (
            Images(store=corpus.features, row=corpus.splits[name].feature_row)
            for name in ("train", split)
        )
        num = min(len(stored), num)
        if self.index == "exact":
            return nearest(stored, queries, num, distance=self.distance)
        find = approximate(stored, self.distance)
        found_Qk = nearest(stored, queries, num, distance=self.distance, candidates=find)
        self._tell_recall(stored, queries, found_Qk)
        return found_Qk

    @property
    def similarity(self) -> Similarity:
        """Of the training captions, made when it is first asked for."""
        if self._similarity is None:
            image_C = self.corpus.splits["train"].image_of
            self._similarity = SIMILARITIES[self.likeness](self.captions, image_C)
        return self._similarity

    @property
    def num_parameters(self) -> int:
        train, features = self.corpus.splits["train"], self.corpus.features
        return len(train) * features.size + int(train.rows.length_N.sum())

    def _key(self) -> str:
        """Names what the likeness of captions depends on."""
        digest = hashlib.sha256(self.likeness.encode())
        digest.update(self.first_I.tobytes())
        digest.update("\n".join(map(" ".join, self.captions)).encode())
        return digest.hexdigest()

    def _tell_recall(self, stored: Images, queries: Images, found_Qk: Ints) -> None:
        """How many of the true neighbours of some images an approximate search has found."""
        if self.report is None:
            return
        places = np.linspace(0, len(queries) - 1, min(NUM_CHECKED, len(queries))).astype(np.int64)
        some = Images(store=queries.store, row=queries.row[places])
        true = nearest(stored, some, self.k, distance=self.distance)
        pairs = zip(found_Qk[places, : self.k], true, strict=True)
        share = np.mean([np.isin(exact, ours).mean() for ours, exact in pairs])
        self.report(f"faiss finds {100 * share:.1f} % of the {self.k} nearest images")
