"""A task small enough to be trained inside a test: a card of a user's own over generated text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARD = """\
task: tiny
title: A few sentences of topics and grammar
version: 1
objective: language-model
description: Next word of a short generated text.
metric: {name: perplexity, direction: min}
protocol: One stream per split.
corpus:
  kind: synthetic-text
  num_topics: 2
  topic_length_mean: 20
  num_train_tokens: 2000
  num_valid_tokens: 400
  num_test_tokens: 300
recipes:
  default:
    model: {hidden_size: 8}
    objective: {batch_size: 10, bptt_length: 20}
    trainer: {max_epochs: 2}
"""
RUN = ("run", "--task", "tiny", "--model", "srn", "--trainer.threads", "1", "--track", "none")
"""A run of about a tenth of a second, once torch is imported."""


def make_suite(folder: Path) -> Path:
    """Put the card into `folder`/tasks; the folder, to be named by `--suite`."""
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    (folder / "tasks" / "tiny.yaml").write_text(CARD)
    return folder


def settings(**groups: dict[str, Any]) -> dict[str, Any]:
    """Overrides for `resolve` on one thread."""
    return {**groups, "trainer": {"threads": 1, **groups.get("trainer", {})}}
