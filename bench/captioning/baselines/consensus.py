"""The consensus caption of an image's neighbours, for many sizes at once.

Devlin et al., "Exploring Nearest Neighbor Approaches for Image Captioning" (2015): of all captions
C of the k nearest training images

    c* = argmax over c in C of  max over M in C without c, |M| = m, of  sum of s(c, c'), c' in M

so of each caption the m others count that confirm it best. Where C has fewer, all others count.
Means that differ by TIE or less are equal, and the nearest image's first caption is taken; so it is
with m = 0.

The likeness of all pairs of the largest k's captions is worked out once; the pool of a smaller k
is the corner of the same matrix, and one sorting of its rows serves every m.

Shapes: Q images to be described, I training images, k neighbours, P captions of a pool, K sizes of
neighbourhoods, M numbers of fellows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch

from bench.captioning.baselines.similarity import Floats, Similarity
from bench.captioning.metrics.ngrams import Ints

TIE = 1e-6
SHARED_K = (1, 2, 5, *range(10, 201, 10))
SHARED_M = (0, 1, 2, 5, 10, *range(25, 251, 25))
"""What is settled at once as soon as one process has asked for a second size."""
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
    """`consensus` of one k and m [Q], which a search over many k and m in one process shares.

    Whoever asks for a second size looks for the best: then all of SHARED_K and SHARED_M are settled
    in one go, and asking for these takes no more time. `neighbours_Qk` are as many as the largest
    of them, or all; `key` names the captions and how alike they are, `similarity` works that out.
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
    """The caption chosen for each image, k and m [Q, K, M].

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
    """The captions of the neighbours, nearest first [P], and how many are those of each of ks."""
    number_k = first_I[neighbours_k + 1] - first_I[neighbours_k]
    end_k = np.cumsum(number_k)
    start_P = np.repeat(first_I[neighbours_k] - (end_k - number_k), number_k)
    return start_P + np.arange(end_k[-1]), end_k[np.array(ks) - 1]


def _confirmed(likeness_PP: Floats, ms: Sequence[int]) -> Ints:
    """Place in the pool of the caption with the best mean over its m fellows, for each of ms."""
    num_fellows = len(likeness_PP) - 1
    ordered_PP = np.sort(likeness_PP, axis=1)
    chosen, total_P, begin = {}, np.zeros(len(ordered_PP)), len(ordered_PP)
    for m in sorted(ms):
        count = min(m, num_fellows)
        start = len(ordered_PP) - count
        total_P = total_P + ordered_PP[:, start:begin].sum(1)
        begin, mean_P = start, total_P / max(count, 1)
        chosen[m] = int(np.argmax(mean_P >= mean_P.max() - TIE))
    return np.array([chosen[m] for m in ms], np.int64)


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Images are dealt out to threads, so products use one each; yields the number of threads."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)
