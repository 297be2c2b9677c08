"""All recordings of a corpus -> one file of features, on every core, a block of them at a time.

NumPy's transforms and the decoder let go of the interpreter's lock, so threads are enough: no
second interpreter is started and nothing is sent between processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from bench.speech.data.corpus import SpeechCorpus, Utterance, num_frames_needed
from bench.speech.data.features import Floats
from bench.speech.data.features import features as features_of
from bench.speech.data.problems import Problem, UnusableError

BLOCK = 64
Progress = Callable[[int, int], None]  # (utterances so far, utterances in all)


@dataclass(frozen=True, kw_only=True, eq=False)
class Extracted:
    """What one recording gave, or what is wrong with it."""

    features: Floats
    """[T, D], empty when there is a problem."""
    num_frames: int = 0
    num_samples: int = 0
    sha256: str = ""
    problem: Problem | None = None


def extract(corpus: SpeechCorpus, split: str, utterance: Utterance) -> Extracted:
    """Decode, check and transform one recording."""
    try:
        samples = corpus.recordings.samples(utterance)
        rate = corpus.recordings.sample_rate_hz
        found_TD = features_of(samples, corpus.recipe, sample_rate_hz=rate)
        needed = num_frames_needed(corpus.numbers(utterance))
        if len(found_TD) < needed:
            raise UnusableError(
                "too short", f"{len(found_TD)} frames where its phones need {needed}"
            )
    except UnusableError as bad:
        problem = Problem(utterance=utterance.id, split=split, kind=bad.kind, detail=bad.detail)
        nothing = np.zeros((0, corpus.recipe.num_features), np.float32)
        return Extracted(features=nothing, problem=problem)
    digest = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
    return Extracted(
        features=found_TD, num_frames=len(found_TD), num_samples=len(samples), sha256=digest
    )


def extract_all(
    corpus: SpeechCorpus, *, num_workers: int, progress: Progress | None = None
) -> Iterator[Extracted]:
    """Every utterance of every split in order."""
    every = [(split, u) for split, utterances in corpus.splits.items() for u in utterances]
    with ThreadPoolExecutor(num_workers) as pool:
        for first in range(0, len(every), BLOCK):
            block = every[first : first + BLOCK]
            for done, found in enumerate(pool.map(lambda pair: extract(corpus, *pair), block)):
                if progress is not None:
                    progress(first + done + 1, len(every))
                yield found


class Moments:
    """Mean and deviation of every dimension, from sums in float64."""

    def __init__(self, num_features: int) -> None:
        self.count = 0
        self._sum = np.zeros(num_features)
        self._squares = np.zeros(num_features)

    def add(self, x_TD: Floats) -> None:
        """Count these frames in."""
        wide_TD = x_TD.astype(np.float64)
        self.count += len(x_TD)
        self._sum += wide_TD.sum(axis=0)
        self._squares += np.einsum("td,td->d", wide_TD, wide_TD)

    def mean_and_deviation(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Of the frames so far; a dimension that never changes gets deviation one."""
        count = max(self.count, 1)
        mean = self._sum / count
        deviation = np.sqrt(np.maximum(self._squares / count - mean**2, 0))
        return mean, np.where(deviation > 1e-6, deviation, 1.0)


def write_features(
    corpus: SpeechCorpus, stream: BinaryIO, *, num_workers: int, progress: Progress | None = None
) -> tuple[list[Extracted], Moments]:
    """Append every utterance's features, float32, and sum up the training frames.

    What is returned holds no features any more: a large corpus does not fit into memory.
    """
    moments = Moments(corpus.recipe.num_features)
    num_train = len(corpus.splits.get("train", ()))
    nothing = np.zeros((0, corpus.recipe.num_features), np.float32)
    told = []
    for place, found in enumerate(extract_all(corpus, num_workers=num_workers, progress=progress)):
        stream.write(found.features.astype("<f4").tobytes())
        if place < num_train:
            moments.add(found.features)
        told.append(replace(found, features=nothing))
    return told, moments
