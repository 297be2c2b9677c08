"""The caption of the nearest training images: one of the nearest, or the consensus of k.

Devlin et al., "Exploring Nearest Neighbor Approaches for Image Captioning" (2015): of all captions
C of the k nearest training images

    c* = argmax over c in C of  max over M in C without c, |M| = m, of  sum of s(c, c'), c' in M

so the m others count that confirm a caption best, or all others where C has fewer. Means that
differ by TIE or less are equal, and the nearest image's first caption is taken, as with m = 0.
Nothing is learned: the model is the training images' features and captions.

The similarities of all pairs of the largest k's captions are computed once; the pool of a smaller k
is the corner of the same matrix, and one sorting of its rows serves every m.

Shapes: Q images to be described, I training images, k neighbours, P captions of a pool, K sizes of
neighbourhoods, M numbers of confirming captions, B queries at a time, C candidates, D features.
"""

from __future__ import annotations

import hashlib
import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from bench.captioning.baselines.base import CaptionBaseline
from bench.captioning.baselines.neighbours import (
    BLOCK_BYTES,
    SIMILARITIES,
    Array,
    Distance,
    Images,
    Likeness,
    Similarity,
    nearest,
)
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.data.words import Tokens
from bench.captioning.metrics.ngrams import Ints
from bench.core.config import Count
from bench.core.errors import BenchError
from bench.training.baseline import Report

TIE = 1e-6
SHARED_K = (1, 2, 5, *range(10, 201, 10))
SHARED_M = (0, 1, 2, 5, 10, *range(25, 251, 25))
"""Sizes that are computed together as soon as a process asks for a second one."""
SHARE_OF_CELLS = 8
"""A query of faiss searches one cell of so many."""
_ROWS_A_CELL = 64
"""Rows that train the centroid of a cell; more improve k-means no further."""
NUM_CHECKED = 100
"""Queries whose neighbours by faiss are compared with the exact ones."""
NumConfirming = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
_NUM_KEPT = 8
_kept: dict[str, dict[tuple[int, int], Ints]] = {}


def shared_consensus(
    similarity: Callable[[], Similarity],
    first_I: Ints,
    neighbours_Qk: Ints,
    *,
    k: int,
    m: int,
    key: str,
) -> Ints:
    """`consensus` of one k and m [Q], shared by a search over many k and m in one process.

    The second size that is asked for is part of such a search: then all of SHARED_K and SHARED_M
    are computed in one pass. `neighbours_Qk` are as many as the largest of them, or all; `key`
    names the captions and their similarity.
    """
    name = hashlib.sha256(key.encode() + neighbours_Qk.tobytes()).hexdigest()
    while len(_kept) >= _NUM_KEPT and name not in _kept:
        _kept.pop(next(iter(_kept)))
    found = _kept.setdefault(name, {})
    if (k, m) not in found:
        largest = neighbours_Qk.shape[1]
        ks = {k, *(size for size in SHARED_K if found and size <= largest)}
        ms = {m, *(SHARED_M if found else ())}
        chosen_QKM = consensus(similarity(), first_I, neighbours_Qk, ks=sorted(ks), ms=sorted(ms))
        for i, each_k in enumerate(sorted(ks)):
            for j, each_m in enumerate(sorted(ms)):
                found[each_k, each_m] = chosen_QKM[:, i, j].copy()
    return found[k, m]


def consensus(
    similarity: Similarity,
    first_I: Ints,
    neighbours_Qk: Ints,
    *,
    ks: Sequence[int],
    ms: Sequence[int],
) -> Ints:
    """Caption chosen for each image, k and m [Q, K, M].

    Captions of training image i are numbered from first_I[i] to first_I[i + 1]; a row of
    `neighbours_Qk` has the nearest image first, and at least the largest of `ks`.
    """

    def choose(neighbours_k: Ints) -> Ints:
        pool_P, size_K = _pool(first_I, neighbours_k, ks)
        likeness_PP = similarity.matrix(pool_P)
        np.fill_diagonal(likeness_PP, -np.inf)  # sorted to the front, and never among the m
        rows = [pool_P[_confirmed(likeness_PP[:size, :size], ms)] for size in size_K.tolist()]
        return np.stack(rows)

    neighbours_Qk = neighbours_Qk[:, : max(ks)]
    with _one_thread_each() as num_threads, ThreadPoolExecutor(num_threads) as executor:
        return np.stack(list(executor.map(choose, neighbours_Qk)))


def _pool(first_I: Ints, neighbours_k: Ints, ks: Sequence[int]) -> tuple[Ints, Ints]:
    """Captions of the neighbours, nearest first [P], and the number of those of each of ks [K]."""
    number_k = first_I[neighbours_k + 1] - first_I[neighbours_k]
    end_k = np.cumsum(number_k)
    start_P = np.repeat(first_I[neighbours_k] - (end_k - number_k), number_k)
    return start_P + np.arange(end_k[-1]), end_k[np.array(ks) - 1]


def _confirmed(likeness_PP: Array, ms: Sequence[int]) -> Ints:
    """Place in the pool of the caption with the best mean over its m others, for each of ms."""
    num_others = len(likeness_PP) - 1
    ordered_PP = np.sort(likeness_PP, axis=1)
    chosen, total_P, begin = {}, np.zeros(len(ordered_PP)), len(ordered_PP)
    for m in sorted(ms):
        count = min(m, num_others)
        start = len(ordered_PP) - count
        total_P = total_P + ordered_PP[:, start:begin].sum(1)
        begin, mean_P = start, total_P / max(count, 1)
        chosen[m] = int(np.argmax(mean_P >= mean_P.max() - TIE))
    return np.array([chosen[m] for m in ms], np.int64)


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Products use one thread each while images are dealt out to threads; yields their number."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)


def approximate(stored: Images, distance: Distance) -> Callable[[NDArray[np.float32], int], Ints]:
    """Search of candidates [B, C] for queries [B, D] by an index of inverted lists of faiss.

    Rows are put into cells around centroids; a query searches the nearest cells alone, so some
    neighbours are missed. Raises BenchError where faiss, which is optional, is not installed.
    """
    faiss = _faiss()
    num_cells = max(1, int(4 * len(stored) ** 0.5))
    num_cells = min(num_cells, max(1, len(stored) // 39))  # faiss wants 39 rows to place one
    kind = faiss.METRIC_INNER_PRODUCT if distance == "cosine" else faiss.METRIC_L2
    size = stored.store.size
    quantiser = faiss.IndexFlat(size, kind)
    index = faiss.IndexIVFFlat(quantiser, size, num_cells, kind)
    index.nprobe = max(1, num_cells // SHARE_OF_CELLS)
    sample = min(len(stored), _ROWS_A_CELL * num_cells)
    places = np.linspace(0, len(stored) - 1, sample).astype(np.int64)
    index.train(_prepared(stored.rows(places), distance))
    step = max(1, BLOCK_BYTES // (4 * size))
    for first in range(0, len(stored), step):
        index.add(_prepared(stored.rows(slice(first, first + step)), distance))

    def find(query_BD: NDArray[np.float32], num: int) -> Ints:
        query = _prepared(query_BD, distance)
        found: Ints = index.search(query, num)[1]
        short = np.flatnonzero((found < 0).any(1))
        if len(short):  # the cells held too few: search all of them
            settings = faiss.SearchParametersIVF(nprobe=num_cells)
            found[short] = index.search(query[short], num, params=settings)[1]
        return found.astype(np.int64)

    return find


def _prepared(rows: NDArray[np.float32], distance: Distance) -> NDArray[np.float32]:
    if distance == "cosine":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.ascontiguousarray(rows / np.where(lengths > 0, lengths, 1), np.float32)
    return np.ascontiguousarray(rows)


def _faiss() -> Any:
    try:
        return importlib.import_module("faiss")
    except ImportError:
        raise BenchError(
            "model.index faiss: faiss is not installed; pip install faiss-cpu, or leave the index "
            "exact"
        ) from None


class Nearest(CaptionBaseline):
    """Caption of the k nearest training images that m others of theirs confirm best.

    With the `index` faiss, neighbours are searched in a part of the images only.

    Parameters
    ----------
    k
        Neighbours of an image.
    m
        Captions that confirm a candidate.
    similarity
        Similarity of two captions.
    distance
        Distance of two images' features.
    index
        Search of neighbours: over all images, or by faiss in a part of them.
    """

    def __init__(
        self,
        *,
        k: Count = 90,
        m: NumConfirming = 125,
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
        """Training caption of each image of a split [Q], numbered image by image."""
        started = time.perf_counter()
        # As many as a search over k may ask for.
        found_Qk = self.neighbours(split, num=max(self.k, *SHARED_K))
        searched = time.perf_counter()
        chosen_Q = shared_consensus(
            lambda: self.similarity, self.first_I, found_Qk, k=self.k, m=self.m, key=self._key()
        )
        if self.report is not None:
            self.report(
                f"nearest: {found_Qk.shape[1]} neighbours of {len(found_Qk):,} images in "
                f"{searched - started:.1f} s, consensus in {time.perf_counter() - searched:.1f} s"
            )
        return chosen_Q

    def neighbours(self, split: str, *, num: int) -> Ints:
        """The `num` nearest training images of each image of a split, nearest first, or all."""
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
        self._report_recall(stored, queries, found_Qk)
        return found_Qk

    @property
    def similarity(self) -> Similarity:
        """Similarity of the training captions, prepared when it is first asked for."""
        if self._similarity is None:
            image_C = self.corpus.splits["train"].image_of
            self._similarity = SIMILARITIES[self.likeness](self.captions, image_C)
        return self._similarity

    @property
    def num_parameters(self) -> int:
        train, features = self.corpus.splits["train"], self.corpus.features
        return len(train) * features.size + int(train.rows.length_N.sum())

    def _key(self) -> str:
        """Checksum of everything that the similarity of captions depends on."""
        digest = hashlib.sha256(self.likeness.encode())
        digest.update(self.first_I.tobytes())
        digest.update("\n".join(map(" ".join, self.captions)).encode())
        return digest.hexdigest()

    def _report_recall(self, stored: Images, queries: Images, found_Qk: Ints) -> None:
        """Report the share of the true neighbours that an approximate search has found."""
        if self.report is None:
            return
        places = np.linspace(0, len(queries) - 1, min(NUM_CHECKED, len(queries))).astype(np.int64)
        some = Images(store=queries.store, row=queries.row[places])
        true = nearest(stored, some, self.k, distance=self.distance)
        pairs = zip(found_Qk[places, : self.k], true, strict=True)
        share = np.mean([np.isin(exact, ours).mean() for ours, exact in pairs])
        self.report(f"faiss finds {100 * share:.1f} % of the {self.k} nearest images")
