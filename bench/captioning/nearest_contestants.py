"""Stages of a nearest-neighbour evaluation beside plain loops over their definitions.

The plain loops compare an image with each training image, and each caption of its pool with each
other; they are timed on a few images, for which they must choose the same captions.
"""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.captioning.baselines.nearest import SHARED_K, SHARED_M, TIE, Nearest, consensus
from bench.captioning.baselines.neighbours import (
    CHUNK_PENALTY,
    RECALL_WEIGHT,
    Distance,
    Images,
    Likeness,
)
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.metrics.ngrams import Ints
from bench.captioning.metrics.scores import score_captions
from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.data.corpora import Corpus
from bench.runs.resolve import Resolved
from bench.speed.contest import SpeedReport, heading
from bench.speed.machine import CPU, device_name

Words = Sequence[str]
Alike = Callable[[Words, Words], float]
FoundT = TypeVar("FoundT")
Seconds = dict[str, list[float]]
"""Stage -> seconds of each round or image."""

MAX_ORDER = 4
NUM_ALONE = 4
"""Images that the plain loops describe; all of them would take long."""
ROUNDS_PER_EVALUATION = 5
"""Rounds of a training step that one whole evaluation stands for."""


def nearest_speed(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> SpeedReport:
    """Search, consensus and scores of the test split, then consensus for every size of a search."""
    assert isinstance(corpus, CaptionCorpus)
    shipped, plain = Seconds(), Seconds()
    num_evaluations = max(1, num_rounds // ROUNDS_PER_EVALUATION)
    models = [_fit(resolved, corpus) for _ in range(num_evaluations)]
    chosen_Q = [_evaluate(model, corpus, shipped) for model in models][-1]
    model, num_alone = models[-1], min(NUM_ALONE, len(chosen_Q))
    places = np.linspace(0, len(chosen_Q) - 1, num_alone).astype(np.int64)
    if _choose_plainly(model, corpus, places, plain) != chosen_Q[places].tolist():
        raise BenchError("the plain loop chose other captions: please report this as a fault")
    chosen_QKM = _timed(shipped, "every size", partial(_every_size, _fit(resolved, corpus)))
    rows = _rows(shipped, plain, scale=len(chosen_Q) / len(places))
    num_sizes = chosen_QKM.shape[1] * chosen_QKM.shape[2]
    every_sec = f"{statistics.median(shipped['every size']):.2f}"
    rows.append((f"both, for {num_sizes} sizes at once", every_sec, "", ""))
    header = (f"{len(chosen_Q):,} images", "s", f"plain s, by {len(places)} images", "x shipped")
    return SpeedReport(
        heading=heading(
            resolved,
            f"{len(corpus.splits['train']):,} training images of {corpus.features.size:,} features",
            f"k {model.k}, m {model.m}, {model.likeness}, {model.distance}",
            device_name(CPU),
        ),
        tables=[aligned(header, rows)],
    )


def _timed(seconds: Seconds, stage: str, call: Callable[[], FoundT]) -> FoundT:
    started = time.perf_counter()
    found = call()
    seconds.setdefault(stage, []).append(time.perf_counter() - started)
    return found


def _fit(resolved: Resolved, corpus: CaptionCorpus) -> Nearest:
    options = {key: value for key, value in resolved.config.model.items() if key != "name"}
    model = Nearest(**options)  # type: ignore[arg-type]
    model.fit(corpus, seed=resolved.config.seed)
    return model


def _evaluate(model: Nearest, corpus: CaptionCorpus, seconds: Seconds) -> Ints:
    """Places of the captions chosen for the test images."""
    found_Qk = _timed(seconds, "search", lambda: model.neighbours("test", num=model.k))
    chosen_QKM = _timed(
        seconds, "consensus", lambda: _consensus(model, found_Qk, ks=[model.k], ms=[model.m])
    )
    chosen_Q = chosen_QKM[:, 0, 0]
    captions = [model.captions[place] for place in chosen_Q.tolist()]
    _timed(seconds, "scores", lambda: score_captions(captions, corpus.splits["test"].captions))
    return chosen_Q


def _consensus(model: Nearest, found_Qk: Ints, *, ks: Sequence[int], ms: Sequence[int]) -> Ints:
    return consensus(model.similarity, model.first_I, found_Qk, ks=ks, ms=ms)


def _every_size(model: Nearest) -> Ints:
    """Captions for every k and m of a search over sizes."""
    found_Qk = model.neighbours("test", num=max(SHARED_K))
    ks = [k for k in SHARED_K if k <= found_Qk.shape[1]]
    return _consensus(model, found_Qk, ks=ks, ms=SHARED_M)


def _choose_plainly(
    model: Nearest, corpus: CaptionCorpus, places: Ints, seconds: Seconds
) -> list[int]:
    """Captions that the plain loops choose for some test images; their preparation is not timed."""
    train, test = (
        Images(store=corpus.features, row=corpus.splits[name].feature_row)
        for name in ("train", "test")
    )
    rows = list(train.rows(slice(None)))
    alike = plain_similarity(model.likeness, corpus.splits["train"].captions)
    chosen = []
    for query in test.rows(places):
        search = partial(plain_nearest, rows, query, model.k, distance=model.distance)
        found_k = _timed(seconds, "search", search)
        numbers = [n for i in found_k for n in range(model.first_I[i], model.first_I[i + 1])]
        pool = [model.captions[number] for number in numbers]
        choose = partial(plain_consensus, pool, model.m, alike)
        chosen.append(numbers[_timed(seconds, "consensus", choose)])
    return chosen


def _rows(shipped: Seconds, plain: Seconds, *, scale: float) -> list[tuple[str, ...]]:
    """Each stage, and search and consensus together; `plain` was timed image by image."""
    ours = {stage: statistics.median(shipped[stage]) for stage in ("search", "consensus")}
    theirs = {stage: scale * sum(plain[stage]) for stage in ours}
    ours["both"], theirs["both"] = sum(ours.values()), sum(theirs.values())
    rows: list[tuple[str, ...]] = [
        (stage, f"{sec:.2f}", f"{theirs[stage]:,.1f}", f"{theirs[stage] / sec:,.0f}")
        for stage, sec in ours.items()
    ]
    return [*rows, ("scores", f"{statistics.median(shipped['scores']):.2f}", "", "")]


def plain_nearest(
    rows: Sequence[NDArray[np.float32]],
    query: NDArray[np.float32],
    k: int,
    *,
    distance: Distance = "cosine",
) -> list[int]:
    """Places of the `k` rows nearest to a query, nearest first, ties by place."""
    distances = []
    x = query.astype(np.float64)
    for row in rows:
        y = row.astype(np.float64)
        if distance == "euclidean":
            distances.append(math.sqrt(((x - y) ** 2).sum()))
        else:
            lengths = math.sqrt((x**2).sum() * (y**2).sum())
            distances.append(1 - (x * y).sum() / lengths if lengths > 0 else 1.0)
    return sorted(range(len(distances)), key=distances.__getitem__)[:k]


def plain_consensus(pool: Sequence[Words], m: int, alike: Alike) -> int:
    """Place in the pool of the caption with the highest mean similarity to its `m` most similar."""
    means = []
    for i, caption in enumerate(pool):
        others = [alike(caption, other) for j, other in enumerate(pool) if i != j]
        best = sorted(others, reverse=True)[:m]
        means.append(sum(best) / len(best) if best else 0.0)
    return next(i for i, mean in enumerate(means) if mean >= max(means) - TIE)


def plain_similarity(kind: Likeness, images: Sequence[Sequence[Words]]) -> Alike:
    """Similarity of two captions; `images` holds the captions of each training image."""
    return {"cider": _plain_cider(images), "bleu": plain_bleu, "overlap": plain_overlap}[kind]


def _plain_cider(images: Sequence[Sequence[Words]]) -> Alike:
    images_with = Counter[tuple[str, ...]]()
    for captions in images:
        present = {g for words in captions for n in range(1, 5) for g in _grams(words, n)}
        images_with.update(present)

    @functools.cache
    def weighted(words: tuple[str, ...], order: int) -> tuple[dict[tuple[str, ...], float], float]:
        """Weighted count of each n-gram, and the length of their vector."""
        weights = {
            gram: count * (math.log(len(images)) - math.log(images_with[gram]))
            for gram, count in _grams(words, order).items()
        }
        return weights, math.sqrt(sum(value**2 for value in weights.values()))

    def alike(caption: Words, other: Words) -> float:
        total = 0.0
        for order in range(1, MAX_ORDER + 1):
            first, first_length = weighted(tuple(caption), order)
            second, second_length = weighted(tuple(other), order)
            product = sum(value * second.get(gram, 0.0) for gram, value in first.items())
            lengths = first_length * second_length
            total += product / lengths if lengths > 0 else 0.0
        return total / MAX_ORDER

    return alike


def plain_bleu(caption: Words, other: Words) -> float:
    """BLEU-4 of a caption with another as its reference."""
    product = 1.0
    for order in range(1, MAX_ORDER + 1):
        added = int(order > 1)
        matches = (_grams(caption, order) & _grams(other, order)).total()
        total = max(len(caption) - order + 1, 0)
        product *= (matches + added) / max(total + added, 1)
    brevity = min(0.0, 1 - len(other) / max(len(caption), 1))
    return float(product ** (1 / MAX_ORDER)) * math.exp(brevity)


def plain_overlap(caption: Words, other: Words) -> float:
    """METEOR's mean and penalty, without stems and synonyms."""
    matched = (_grams(caption, 1) & _grams(other, 1)).total()
    if matched == 0:
        return 0.0
    chunks = max(1, matched - (_grams(caption, 2) & _grams(other, 2)).total())
    precision, recall = matched / len(caption), matched / len(other)
    mean = (1 + RECALL_WEIGHT) * precision * recall / (recall + RECALL_WEIGHT * precision)
    return mean * (1 - CHUNK_PENALTY * (chunks / matched) ** 3)


def _grams(words: Words, order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))
