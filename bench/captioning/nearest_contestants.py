"""A whole evaluation of nearest-neighbour captions beside the plain loop, stage by stage.

The plain loop compares an image with each training image, and each caption of its pool with each
other; it is timed on a few images, which it must describe as the shipped path does.
"""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
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
from bench.runs.resolve import Resolved

# Search and consensus as one writes them first: the definitions, pair by pair.
#
# What the fast forms are held against, and what `bench speed` sets beside them.


Words = Sequence[str]
Alike = Callable[[Words, Words], float]
MAX_ORDER = 4


def plain_nearest(
    rows: Sequence[NDArray[np.float32]],
    query: NDArray[np.float32],
    k: int,
    *,
    distance: Distance = "cosine",
) -> list[int]:
    """The `k` nearest rows to a query, nearest first, ties by place."""
    away = []
    x = query.astype(np.float64)
    for row in rows:
        y = row.astype(np.float64)
        if distance == "euclidean":
            away.append(math.sqrt(((x - y) ** 2).sum()))
        else:
            lengths = math.sqrt((x**2).sum() * (y**2).sum())
            away.append(1 - (x * y).sum() / lengths if lengths > 0 else 1.0)
    return sorted(range(len(away)), key=away.__getitem__)[:k]


def plain_consensus(pool: Sequence[Words], m: int, alike: Alike) -> int:
    """Place in the pool of the caption that its `m` best fellows confirm best."""
    means = []
    for i, caption in enumerate(pool):
        others = [alike(caption, other) for j, other in enumerate(pool) if i != j]
        best = sorted(others, reverse=True)[:m]
        means.append(sum(best) / len(best) if best else 0.0)
    return next(i for i, mean in enumerate(means) if mean >= max(means) - TIE)


def plain_similarity(kind: Likeness, images: Sequence[Sequence[Words]]) -> Alike:
    """The likeness of a caption to another; `images` are the captions of each training image."""
    return {"cider": _plain_cider(images), "bleu": plain_bleu, "overlap": plain_overlap}[kind]


def _plain_cider(images: Sequence[Sequence[Words]]) -> Alike:
    images_with = Counter[tuple[str, ...]]()
    for captions in images:
        present = {g for words in captions for n in range(1, 5) for g in _grams(words, n)}
        images_with.update(present)

    @functools.cache
    def weighted(words: tuple[str, ...], order: int) -> tuple[dict[tuple[str, ...], float], float]:
        """n-gram -> weighted count, and the length of the vector of these."""
        found = {
            gram: count * (math.log(len(images)) - math.log(images_with[gram]))
            for gram, count in _grams(words, order).items()
        }
        return found, math.sqrt(sum(value**2 for value in found.values()))

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
    """BLEU-4 of one with another as reference, as in `similarity`."""
    product = 1.0
    for order in range(1, MAX_ORDER + 1):
        added = int(order > 1)
        matches = (_grams(caption, order) & _grams(other, order)).total()
        total = max(len(caption) - order + 1, 0)
        product *= (matches + added) / max(total + added, 1)
    brevity = min(0.0, 1 - len(other) / max(len(caption), 1))
    return float(product ** (1 / MAX_ORDER)) * math.exp(brevity)


def plain_overlap(caption: Words, other: Words) -> float:
    """METEOR's mean and penalty without stems and synonyms, as in `similarity`."""
    matched = (_grams(caption, 1) & _grams(other, 1)).total()
    if matched == 0:
        return 0.0
    chunks = max(1, matched - (_grams(caption, 2) & _grams(other, 2)).total())
    precision, recall = matched / len(caption), matched / len(other)
    mean = (1 + RECALL_WEIGHT) * precision * recall / (recall + RECALL_WEIGHT * precision)
    return mean * (1 - CHUNK_PENALTY * (chunks / matched) ** 3)


def _grams(words: Words, order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


FoundT = TypeVar("FoundT")
NUM_ALONE = 4
"""Images that the plain loop describes; all of them would take long."""
ROUNDS_OF_EACH = 5
"""One whole evaluation for so many rounds of a training step."""


@dataclass(frozen=True)
class Stages:
    """Seconds of each stage of an evaluation, one for each round or image."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def timed(
        self, stage: str, call: Callable[..., FoundT], *arguments: Any, **named: Any
    ) -> FoundT:
        """What the call returns."""
        begun = time.perf_counter()
        found = call(*arguments, **named)
        self.seconds.setdefault(stage, []).append(time.perf_counter() - begun)
        return found

    def median_sec(self, stage: str) -> float:
        """Of all rounds."""
        return statistics.median(self.seconds[stage])


def nearest_report(resolved: Resolved, corpus: CaptionCorpus, *, num_rounds: int) -> str:
    """Search, consensus and scores of the test split, then every size of a search over sizes."""
    shipped, plain = Stages(), Stages()
    num_evaluations = max(1, num_rounds // ROUNDS_OF_EACH)
    models = [_fitted(resolved, corpus) for _ in range(num_evaluations)]
    chosen_Q = [_evaluate(model, corpus, shipped) for model in models][-1]
    images = np.linspace(0, len(chosen_Q) - 1, min(NUM_ALONE, len(chosen_Q))).astype(np.int64)
    alone = _plainly(models[-1], corpus, images.tolist(), plain)
    if alone != chosen_Q[images].tolist():
        raise BenchError("the plain loop chose other captions: please report this as a fault")
    chosen_QKM = shipped.timed("every size", _every_size, _fitted(resolved, corpus))
    rows = _rows(shipped, plain, scale=len(chosen_Q) / len(images))
    every_sec = f"{shipped.median_sec('every size'):.2f}"
    num_sizes = chosen_QKM.shape[1] * chosen_QKM.shape[2]
    rows.append((f"both, for {num_sizes} sizes at once", every_sec, "", ""))
    header = (f"{len(chosen_Q):,} images", "s", f"plain s, by {len(images)} images", "x shipped")
    return f"{_heading(resolved, models[-1], corpus)}\n\n{aligned(header, rows)}"


def _fitted(resolved: Resolved, corpus: CaptionCorpus) -> Nearest:
    """With nothing prepared yet."""
    options = {key: value for key, value in resolved.config.model.items() if key != "name"}
    model = Nearest(**options)  # type: ignore[arg-type]
    model.fit(corpus, seed=resolved.config.seed)
    return model


def _evaluate(model: Nearest, corpus: CaptionCorpus, stages: Stages) -> Ints:
    found_Qk = stages.timed("search", model.neighbours, "test", num=model.k)
    chosen_QKM = stages.timed("consensus", _consensus, model, found_Qk, ks=[model.k], ms=[model.m])
    chosen_Q = chosen_QKM[:, 0, 0]
    captions = [model.captions[place] for place in chosen_Q.tolist()]
    stages.timed("scores", score_captions, captions, corpus.splits["test"].captions)
    return chosen_Q


def _consensus(model: Nearest, found_Qk: Ints, *, ks: Sequence[int], ms: Sequence[int]) -> Ints:
    """Likeness prepared and all."""
    return consensus(model.similarity, model.first_I, found_Qk, ks=ks, ms=ms)


def _every_size(model: Nearest) -> Ints:
    """What a search over k and m asks for, in one go."""
    found_Qk = model.neighbours("test", num=max(SHARED_K))
    ks = [k for k in SHARED_K if k <= found_Qk.shape[1]]
    return _consensus(model, found_Qk, ks=ks, ms=SHARED_M)


def _plainly(
    model: Nearest, corpus: CaptionCorpus, places: Sequence[int], stages: Stages
) -> list[int]:
    """The captions that the plain loop gives some test images; what it prepares is not timed."""
    train, test = (
        Images(store=corpus.features, row=corpus.splits[name].feature_row)
        for name in ("train", "test")
    )
    rows, queries = list(train.rows(slice(None))), test.rows(np.array(places))
    alike = plain_similarity(model.likeness, corpus.splits["train"].captions)
    chosen = []
    for query in queries:
        found_k = stages.timed(
            "search", plain_nearest, rows, query, model.k, distance=model.distance
        )
        numbers = [n for i in found_k for n in range(model.first_I[i], model.first_I[i + 1])]
        pool = [model.captions[number] for number in numbers]
        chosen.append(numbers[stages.timed("consensus", plain_consensus, pool, model.m, alike)])
    return chosen


def _rows(shipped: Stages, plain: Stages, *, scale: float) -> list[tuple[str, ...]]:
    """Each stage, and search and consensus together; `plain` was timed image by image."""
    rows, total = [], [0.0, 0.0]
    for stage in ("search", "consensus"):
        ours = shipped.median_sec(stage)
        theirs = scale * sum(plain.seconds[stage])
        total = [total[0] + ours, total[1] + theirs]
        rows.append((stage, f"{ours:.2f}", f"{theirs:,.1f}", f"{theirs / ours:,.0f}"))
    both = ("both", f"{total[0]:.2f}", f"{total[1]:,.1f}", f"{total[1] / total[0]:,.0f}")
    return [*rows, both, ("scores", f"{shipped.median_sec('scores'):.2f}", "", "")]


def _heading(resolved: Resolved, model: Nearest, corpus: CaptionCorpus) -> str:
    return (
        f"{resolved.card.task} · nearest · {len(corpus.splits['train']):,} training images of "
        f"{corpus.features.size:,} features · k {model.k}, m {model.m}, {model.likeness}, "
        f"{model.distance} · {torch.get_num_threads()} threads"
    )
