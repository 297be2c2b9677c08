"""A small training of each objective, on which tests hold what is true of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tiny_captioning
import tiny_frames
import tiny_speech
import tiny_task
import tiny_translation

from bench.core.config import merge
from bench.core.suite import Suite
from bench.runs.resolve import Resolved, resolve


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task, a model and a recipe, with settings by group."""

    task: str
    model: str
    recipe: str | None = None
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def but(self, *, model: str | None = None, **groups: dict[str, Any]) -> Case:
        """The case with another model or with settings over its own; `options` are the model's."""
        return replace(
            self, model=model or self.model, settings=merge(self.settings, named(groups))
        )

    def resolved(self, suite: Suite, **groups: dict[str, Any]) -> Resolved:
        """The run of this case, its settings overridden by those of `groups`."""
        overrides = merge(self.settings, named(groups))
        return resolve(suite, self.task, model=self.model, recipe=self.recipe, overrides=overrides)


def named(groups: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings with the model's options under the name of their group."""
    return {"model" if name == "options" else name: given for name, given in groups.items()}


OBJECTIVE_CASES = {
    "language-model": Case(task="tiny", model="scrn"),
    "ctc": Case(task="tiny-speech", model="lstm"),
    "transducer": Case(task="tiny-speech", model="lstm", recipe="transducer"),
    "next-label": Case(task="tiny-speech", model="gru", recipe="next-label"),
    "translation": Case(task="tiny-translation", model="gru"),
    "captioning": Case(task="tiny-captioning", model="lstm"),
    "ranking": Case(task="tiny-captioning", model="gru", recipe="ranking"),
    "frame-prediction": Case(task="tiny-frames", model="conv-lstm"),
}


def make_suite(folder: Path) -> Suite:
    """A suite with the tasks of all cases."""
    for task in (tiny_captioning, tiny_frames, tiny_speech, tiny_task, tiny_translation):
        task.make_suite(folder)
    return Suite(folder=folder)
