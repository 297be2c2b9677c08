"""What savings of memory save on a network of a paper's size: `python tests/measure_large.py`.

The encoder and decoder of Sutskever et al. (2014) by its recipe: four LSTM layers of 1,000 units on
each side, 160,000 and 80,000 words, 384 million weights, on sentences of words at random. Each way
is a process of its own that makes a step of 64 pairs, products in bfloat16; its memory is the
peak of the resident set, less what the process held before there were weights.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.core.aligned import aligned
from bench.core.config import merge
from bench.core.suite import Suite
from bench.runs.provenance import peak_memory_bytes, resident_bytes
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of
from bench.training.objective import Objective
from bench.training.optimiser import build_optimizer, clip_gradients

NUM_WORDS = {"en": 160_000, "fr": 80_000}
NUM_PAIRS, LENGTH, BATCH_PAIRS, NUM_STEPS = 8_000, 20, 64, 1
CARD = """\
task: large
title: Sentences of many words
version: 1
objective: translation
description: Words at random.
metric: {name: bleu, direction: max}
protocol: None.
corpus:
  kind: parallel
  licence: own
  segmentations:
    words: {unit: word, num_source: 160000, num_target: 80000}
"""
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "in 4 parts": {"trainer": {"accumulate": 4}},
    "blocks of 5 steps again": {"trainer": {"recompute_steps": 5}},
    "sparse gradients": {"optim": {"embedding_gradients": "sparse"}},
    "all three": {
        "trainer": {"accumulate": 4, "recompute_steps": 5},
        "optim": {"embedding_gradients": "sparse"},
    },
}


def make_suite(folder: Path) -> None:
    """The card and its text, in which every word of both vocabularies stands."""
    (folder / "tasks").mkdir()
    (folder / "tasks" / "large.yaml").write_text(CARD)
    random = np.random.default_rng(1)
    for language, num_words in NUM_WORDS.items():
        words = random.permutation(NUM_PAIRS * LENGTH) % num_words
        lines = [" ".join(f"w{word}" for word in row) for row in words.reshape(NUM_PAIRS, LENGTH)]
        for split, chosen in (("train", lines), ("valid", lines[:4]), ("test", lines[4:8])):
            (folder / f"{split}.{language}").write_text("\n".join(chosen) + "\n")


def make_objective(folder: Path, way: dict[str, Any]) -> Objective:
    """The recipe's network, to be trained in one of the ways."""
    recipe = Suite.at(Path()).card("wmt14-en-fr").recipe("sutskever")
    own = {
        "data": {"path": str(folder), "languages": "en-fr", "segmentation": "words"},
        "model": {"hidden_size": 1000},
        "objective": {"batch_tokens": 2 * BATCH_PAIRS * (LENGTH + 1)},
        "trainer": {"products": "bfloat16"},
    }
    overrides = merge(recipe, own, way)
    resolved = resolve(Suite(folder=folder), "large", model="lstm", overrides=overrides)
    torch.manual_seed(1)
    return resolved.objective_class()(resolved.config, corpus_of(resolved))


def measure(folder: Path, name: str) -> dict[str, float]:
    """Seconds of a step and bytes of its peak."""
    objective = make_objective(folder, WAYS[name])
    num_weights = sum(parameter.numel() for parameter in objective.parameters())
    before = resident_bytes() - 4 * num_weights
    objective.prepare()
    config = objective.config
    optimizer = build_optimizer(config.optim, objective)
    num_parts = config.trainer.accumulate
    parts = [
        iter(objective.train_loader(rank=part, world_size=num_parts)) for part in range(num_parts)
    ]
    seconds = []
    for _ in range(NUM_STEPS):
        begun = time.perf_counter()
        optimizer.zero_grad()
        for part in parts:
            batch = next(part)
            loss_sum, count = objective.batch_loss(batch)
            objective.backward(objective.update_loss(loss_sum, count, batch))
        clip_gradients(config.optim, list(objective.parameters()))
        optimizer.step()
        seconds.append(time.perf_counter() - begun)
    return {"weights": num_weights, "bytes": peak_memory_bytes() - before, "seconds": min(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", help="one of the ways, in this process", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.folder, given.way)))
        return
    with tempfile.TemporaryDirectory() as name:
        make_suite(Path(name))
        rows = []
        for way in WAYS:
            command = [sys.executable, __file__, "--way", way, "--folder", name]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rows.append((way, f"{found['bytes'] / 1e9:.2f}", f"{found['seconds']:.1f}"))
            print(*rows[-1], file=sys.stderr, flush=True)
    print(f"{found['weights']:,.0f} weights, {4 * found['weights'] / 1e9:.2f} GB")
    print(aligned(("", "GB with the weights", "s a step"), rows))


if __name__ == "__main__":
    main()
