"""A translation task small enough to be trained inside a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.core.suite import Suite
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import corpus_of
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.objective import TranslationObjective

CARD = """\
task: tiny-translation
title: Short sentences of an invented language
version: 1
objective: translation
description: Sentences of three or four words, in another order on the other side.
metric: {name: bleu, direction: max}
protocol: No sentence stands twice.
corpus:
  kind: synthetic-translation
  num_train: 60
  num_valid: 12
  num_test: 12
  num_nouns: 6
  num_verbs: 3
  num_adjectives: 3
  max_depth: 0
recipes:
  default:
    model: {hidden_size: 6}
    objective: {batch_tokens: 60, beam_size: 3}
    optim: {lr: 0.02}
    trainer: {max_epochs: 2, threads: 1}
"""


def make_suite(folder: Path) -> Suite:
    """A suite whose only task is the card's."""
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    (folder / "tasks" / "tiny-translation.yaml").write_text(CARD)
    return Suite(folder=folder)


def resolved_in(
    suite: Suite, groups: Mapping[str, Any] | None = None, *, model: str = "gru"
) -> Resolved:
    """The configuration that the settings mean."""
    return resolve(suite, "tiny-translation", model=model, overrides=groups or {})


def make_corpus(suite: Suite) -> ParallelCorpus:
    """The task's corpus."""
    corpus = corpus_of(resolved_in(suite))
    assert isinstance(corpus, ParallelCorpus)
    return corpus


def make_objective(
    suite: Suite,
    corpus: ParallelCorpus,
    groups: Mapping[str, Any] | None = None,
    *,
    model: str = "gru",
    seed: int = 3,
) -> TranslationObjective:
    """The objective in evaluation mode with weights that make long, varied translations."""
    torch.manual_seed(seed)
    config = resolved_in(suite, groups, model=model).config
    objective = TranslationObjective(config, corpus)
    for parameter in objective.parameters():
        torch.nn.init.uniform_(parameter, -1.5, 1.5)
    return objective.eval()
