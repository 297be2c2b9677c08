"""Groups of runs that nothing has trained: records, and log-probabilities that agree with them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from synthetic_records import make_card, make_record

from bench.compare import Comparison, Reading, Resampling, compare
from bench.core.record import Record, write_record
from bench.core.suite import Suite
from bench.text.outputs import write_log_probs

NUM_TOKENS = 20_000
# Model -> how many nats a token it is above the first, and how far apart its seeds are.
MODELS = {"scrn": (0.0, 0.002), "lstm": (0.001, 0.002), "srn": (0.08, 0.002), "ngram": (0.2, 0.0)}
SEEDS = {"scrn": (1, 2, 3), "lstm": (1, 2, 3), "srn": (1, 2, 3), "ngram": (1,)}


def make_suite(folder: Path) -> Suite:
    """A working folder with the card `toy`, whose text is cut into twenty blocks of 1,000."""
    (folder / "tasks").mkdir(parents=True)
    card = msgspec.to_builtins(make_card())
    (folder / "tasks" / "toy.yaml").write_bytes(msgspec.yaml.encode(card))
    return Suite(folder=folder)


def add_run(suite: Suite, log_probs_N: np.ndarray[Any, Any], **settings: Any) -> Record:
    """A finished run whose perplexity is that of its log-probabilities."""
    kept_N = np.asarray(log_probs_N, dtype=np.float32).astype(np.float64)
    record = make_record(math.exp(-kept_N.mean()), **settings)
    write_record(record, suite.record_path("toy", record.id).parent)
    write_log_probs(suite.artifacts("toy", record.id), "test", kept_N)
    return record


def fill(suite: Suite) -> dict[str, list[Record]]:
    """Three seeds of three networks and a counting model over one text, by model."""
    rng = np.random.default_rng(5)
    difficulty_N = np.repeat(rng.normal(4.5, 0.4, NUM_TOKENS // 100), 100)
    difficulty_N = difficulty_N + rng.exponential(1.0, NUM_TOKENS)
    made: dict[str, list[Record]] = {}
    for model, (shift, spread) in MODELS.items():
        for seed in SEEDS[model]:
            noise_N = rng.normal(0.0, 0.3, NUM_TOKENS)
            own = shift + spread * (seed - 2) - noise_N.mean()
            log_probs_N = -(difficulty_N + noise_N + own)
            record = add_run(suite, log_probs_N, seed=seed, model={"name": model})
            made.setdefault(model, []).append(record)
    return made


def compared(
    suite: Suite,
    *names: str,
    reading: Reading | None = None,
    seed: int = 1,
    task: str | None = "toy",
) -> Comparison:
    """A comparison of few resamples."""
    resampling = Resampling(num_resamples=1000, seed=seed)
    return compare(suite, names, task=task, reading=reading, resampling=resampling)
