"""Finished networks measured anew: dynamic evaluation and the neural cache, recorded on their own.

A run of this kind has the configuration of the network that it reads, and in `objective` the way
of evaluation: `evaluation`, its options as `evaluation_<option>` (`tuned` where validation chose
them; the values are in the record's `extra`), and `evaluation_of`, the run without its seed.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from bench.baselines.mix import fit_mixture, mix
from bench.config import Count, Positive, RunConfig, Scalar
from bench.data.text import TextCorpus
from bench.errors import BenchError
from bench.finished import FinishedRun, find_run, load_objective
from bench.log_probs import Floats, write_log_probs
from bench.objectives.dynamic import dynamic_log_probs
from bench.objectives.language_model import LanguageModel, Share
from bench.objectives.neural_cache import neural_cache_log_probs
from bench.objectives.text_metric import metric_value, text_signature
from bench.outcome import Outcome
from bench.provenance import peak_memory_bytes
from bench.record import Cost, Record
from bench.resolve import Resolved
from bench.run import Manners, run
from bench.structs import Frozen, to_struct
from bench.suite import Suite
from bench.track import Tracker
from bench.training.progress import Style

Mode = Literal["dynamic", "neural-cache"]
Chosen = dict[str, float]


class DynamicOptions(Frozen, frozen=True, kw_only=True):
    """Options of dynamic evaluation."""

    lr: Positive = 0.03
    """Step along the gradient of a segment's summed loss."""
    segment_length: Count = 20
    """Tokens between updates."""


class NeuralCacheOptions(Frozen, frozen=True, kw_only=True):
    """Options of the neural cache."""

    theta: Positive = 0.3
    """Sharpness: the larger, the fewer states count."""
    window: Count = 2000
    """States in the cache."""
    share: Share | None = None
    """Weight of the cache; chosen on validation where not given."""


OPTIONS: dict[str, type[Frozen]] = {"dynamic": DynamicOptions, "neural-cache": NeuralCacheOptions}
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "dynamic": {"segment_length": (5, 20), "lr": (0.003, 0.01, 0.03, 0.1, 0.3)},
    "neural-cache": {"window": (500, 2000), "theta": (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)},
}
