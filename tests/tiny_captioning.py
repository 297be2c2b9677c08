"""A captioning task small enough to be trained inside a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.objectives.captioning import CaptioningObjective
from bench.core.suite import Suite
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import corpus_of

TASK = "tiny-captioning"
CARD = """\
task: tiny-captioning
title: A few scenes of coloured shapes
version: 1
objective: captioning
objectives: [ranking]
description: Say which shapes stand where.
metric: {name: cider, direction: max}
protocol: No scene stands twice.
corpus:
  kind: synthetic-captions
  num_train: 30
  num_valid: 6
  num_test: 6
  captions_per_image: 2
  image_size: 36
recipes:
  default:
    model: {hidden_size: 8}
    objective: {batch_tokens: 100, beam_size: 2, max_length: 12}
    optim: {lr: 0.02}
    trainer: {max_epochs: 1, threads: 1}
  ranking:
    objective: {name: ranking, batch_tokens: 100}
"""


def make_suite(folder: Path) -> Suite:
    """A suite whose only task is the card's."""
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    (folder / "tasks" / f"{TASK}.yaml").write_text(CARD)
    return Suite(folder=folder)


def resolved_in(
    suite: Suite, groups: Mapping[str, Any] | None = None, *, model: str = "gru"
) -> Resolved:
    """The configuration that the settings mean."""
    return resolve(suite, TASK, model=model, overrides=groups or {})


def make_objective(
    suite: Suite, groups: Mapping[str, Any] | None = None, *, model: str = "gru"
) -> CaptioningObjective:
    """The objective in evaluation mode with weights that write varied captions."""
    resolved = resolved_in(suite, groups, model=model)
    corpus = corpus_of(resolved)
    assert isinstance(corpus, CaptionCorpus)
    torch.manual_seed(3)
    objective = CaptioningObjective(resolved.config, corpus)
    for parameter in objective.parameters():
        torch.nn.init.uniform_(parameter, -1.0, 1.0)
    return objective.eval()
