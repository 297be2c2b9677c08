"""Random posteriors, and the probability of label sequences by enumeration of all paths."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import torch
from torch import Tensor

from bench.speech.decoding.ctc import collapsed
from bench.speech.decoding.hypotheses import Labels


def posteriors(shape: tuple[int, int, int], *, seed: int = 0, sharpness: float = 1.5) -> Tensor:
    """Log-probabilities [B, T, V] in float64; the sharper the nearer to one path."""
    generator = torch.Generator().manual_seed(seed)
    z_BTV = sharpness * torch.randn(*shape, generator=generator, dtype=torch.float64)
    return z_BTV.log_softmax(2)


def enumerated(log_p_TV: Tensor) -> dict[Labels, float]:
    """The log-probability of every label sequence, each path visited."""
    num_frames, num_outputs = log_p_TV.shape
    total: dict[Labels, float] = defaultdict(float)
    for path in itertools.product(range(num_outputs), repeat=num_frames):
        log_p = sum(float(log_p_TV[t, output]) for t, output in enumerate(path))
        total[collapsed(path)] += math.exp(log_p)
    return {labels: math.log(p) for labels, p in total.items()}


def all_sequences(num_labels: int, longest: int) -> list[Labels]:
    """Every sequence of the labels 1 to `num_labels`, up to a length."""
    labels = range(1, num_labels + 1)
    return [y for length in range(longest + 1) for y in itertools.product(labels, repeat=length)]
