"""A whole evaluation of nearest-neighbour captions beside the plain loop, stage by stage.

The plain loop compares an image with each training image, and each caption of its pool with each
other; it is timed on a few images, which it must describe as the shipped path does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch

from bench.captioning.baselines.consensus import SHARED_K, SHARED_M, consensus
from bench.captioning.baselines.nearest import Nearest
from bench.captioning.baselines.plain import plain_consensus, plain_nearest, plain_similarity
from bench.captioning.baselines.search import Images
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.metrics import score_captions
from bench.captioning.metrics.ngrams import Ints
from bench.cli.listing import aligned
from bench.core.errors import BenchError
from bench.runs.resolve import Resolved
from bench.training.baselines import baseline_class

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
    model = baseline_class("nearest")(**options)
    assert isinstance(model, Nearest)
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
