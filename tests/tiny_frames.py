"""A task of frames small enough to be trained inside a test."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.core.suite import Suite
from bench.frames.data.corpus import FrameCorpus
from bench.frames.data.motion import IDX_IMAGES, Pixels
from bench.frames.objective import FramePrediction
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import corpus_of

TASK = "tiny-frames"
CARD = """\
task: tiny-frames
title: A few moving shapes
version: 1
objective: frame-prediction
description: Say where two shapes go.
metric: {name: cross-entropy, direction: min}
protocol: Each pixel is flipped now and then.
corpus:
  kind: synthetic-frames
  frame_size: 12
  num_given: 4
  num_predicted: 3
  num_train: 20
  num_valid: 10
  num_test: 12
recipes:
  default:
    model: {hidden_size: 4}
    objective: {batch_size: 5, patch_size: 3}
    optim: {lr: 0.02, clip_at: 100.0}
    trainer: {max_epochs: 1, threads: 1}
"""


def make_suite(folder: Path) -> Suite:
    """A suite whose only task is the card's."""
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    (folder / "tasks" / f"{TASK}.yaml").write_text(CARD)
    return Suite(folder=folder)


def resolved_in(suite: Suite, groups: Mapping[str, Any] | None = None, *, model: str) -> Resolved:
    """The configuration that the settings mean."""
    return resolve(suite, TASK, model=model, overrides=groups or {})


def make_objective(
    suite: Suite, groups: Mapping[str, Any] | None = None, *, model: str
) -> FramePrediction:
    """The objective in double precision, with weights large enough to be told apart."""
    resolved = resolved_in(suite, groups, model=model)
    corpus = corpus_of(resolved)
    assert isinstance(corpus, FrameCorpus)
    torch.manual_seed(3)
    objective = FramePrediction(resolved.config, corpus)
    for parameter in objective.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    return objective.double().eval()


def write_idx(path: Path, images: Pixels) -> Path:
    """An idx file of images, packed by gzip."""
    head = np.array([IDX_IMAGES, *images.shape], ">u4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(head + images.tobytes(), mtime=0))
    return path
