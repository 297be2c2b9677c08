"""Predicting frames without training: a baseline fitted, then scored on validation and test.

n sequences at once, K predicted frames, Y X pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.core.config import RunConfig
from bench.core.outcome import Outcome
from bench.core.provenance import begin, cost_since
from bench.frames.baselines.baseline import FrameBaseline
from bench.frames.data.corpus import FrameCorpus
from bench.frames.data.sprites import INK, Pixels
from bench.frames.outputs import NUM_SHOWN, PredictedFrames, signatures, write_frames
from bench.text.baselines.baseline import Floats
from bench.training.baselines import baseline_class

AT_ONCE = 50
"""Sequences."""


def predict_frames(
    config: RunConfig, corpus: FrameCorpus, folder: Path, *, splits: Sequence[str]
) -> Outcome:
    """Fit the baseline and score its predictions of `splits`, which are kept in `folder`."""
    options = {key: value for key, value in config.model.items() if key != "name"}
    model = baseline_class(str(config.model["name"]))(**options)
    assert isinstance(model, FrameBaseline)
    begun = begin()
    model.fit(corpus)
    named = signatures(
        frame_size=corpus.frame_size,
        num_given=corpus.num_given,
        num_predicted=corpus.num_predicted,
    )
    metrics: dict[str, float] = {}
    beside: dict[str, float] = {}
    for split in splits:
        made = scored(model, corpus, split)
        write_frames(folder, split, made)
        metrics[split], beside[split] = made.metrics().values()
    return Outcome(
        metrics=metrics,
        metric="cross-entropy",
        signature=named["cross-entropy"],
        bound=corpus.bound,
        cost=cost_since(begun, num_parameters=model.num_parameters),
        beside={named["mse"]: beside},
    )


def scored(model: FrameBaseline, corpus: FrameCorpus, split: str) -> PredictedFrames:
    """What a fitted model says of a split."""
    own, num_given = corpus.splits[split], corpus.num_given
    nats, squared, shown = list[Floats](), list[Floats](), list[Pixels]()
    for first in range(0, len(own), AT_ONCE):
        frames = own.frames(np.arange(first, min(first + AT_ONCE, len(own))))
        true_nKYX = frames[:, num_given:] / np.float32(INK)
        p_nKYX = model.predict(frames[:, :num_given], corpus.num_predicted)
        no_nKYX = np.log1p(-p_nKYX)
        log_nKYX = no_nKYX + true_nKYX * (np.log(p_nKYX) - no_nKYX)
        nats.append(-log_nKYX.sum((2, 3), dtype=np.float64))
        squared.append(((p_nKYX - true_nKYX) ** 2).sum((2, 3), dtype=np.float64))
        if first == 0:
            shown = [frames[:NUM_SHOWN], np.rint(INK * p_nKYX[:NUM_SHOWN]).astype(np.uint8)]
    return PredictedFrames(
        cross_entropy=np.concatenate(nats),
        squared_error=np.concatenate(squared),
        given=shown[0][:, :num_given],
        true=shown[0][:, num_given:],
        predicted=shown[1],
    )
