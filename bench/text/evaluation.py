"""Finished networks measured anew: dynamic evaluation and the neural cache, recorded on their own.

A run of this kind has the configuration of the network that it reads, and in `objective` the way
of evaluation: `evaluation`, its options as `evaluation_<option>` (`tuned` where validation chose
them; the values are in the record's `extra`), and `evaluation_of`, the run without its seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from bench.core.cards import require_text
from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.provenance import begin, cost_since
from bench.core.record import Record
from bench.core.structs import to_struct
from bench.core.suite import Suite
from bench.domains import Corpus, as_text
from bench.models import MODELS
from bench.runs.finished import FinishedRun, find_run, is_evaluation, load_objective
from bench.runs.resolve import Resolved
from bench.runs.run import Manners, run
from bench.text.objectives.evaluation_modes import GRIDS, OPTIONS, Grid, Mode, choose, score
from bench.text.objectives.language_model import LanguageModel
from bench.text.objectives.text_metric import bound_value, metric_name, metric_value, text_signature
from bench.text.outputs import write_log_probs
from bench.tracking.tracker import Tracker
from bench.training.progress import Style

TUNED = "tuned"


def evaluate_run(
    suite: Suite,
    run_id: str,
    mode: Mode,
    settings: Mapping[str, Any],
    *,
    others: Literal["default", "tuned"] = "default",
    manners: Manners | None = None,
) -> Record:
    """Evaluate a finished network by `mode` and record it.

    `settings` are the options given; the `others` have their defaults, or are chosen on validation.
    Raises BenchError for a run without weights and for options that the mode does not have.
    """
    base = find_run(suite, run_id)
    require_text(base.resolved.card, "evaluate")
    if base.record.model not in MODELS or is_evaluation(base.record):
        raise BenchError(f"run {base.id} has no weights of its own: name a trained run")
    grid = make_grid(mode, settings, others)
    resolved = resolve_evaluation(base, mode, grid)
    return run(resolved, suite, manners, work=Evaluating(base=base, mode=mode, grid=grid))


def make_grid(
    mode: Mode, settings: Mapping[str, Any], others: Literal["default", "tuned"]
) -> dict[str, tuple[Any, ...]]:
    """Option -> the values to try: one, unless validation has to choose."""
    options = msgspec.structs.asdict(to_struct(settings, OPTIONS[mode], where=f"--mode {mode}"))
    chosen_on_valid = set(GRIDS[mode]).difference(settings) if others == "tuned" else set()
    return {
        name: GRIDS[mode][name] if name in chosen_on_valid else (value,)
        for name, value in options.items()
    }


def resolve_evaluation(base: FinishedRun, mode: Mode, grid: Grid) -> Resolved:
    """The configuration of the evaluation: the network's, and how it is evaluated."""
    added: dict[str, Scalar] = {"evaluation": mode, "evaluation_of": base.id.rpartition("-s")[0]}
    for name, values in grid.items():
        is_chosen = len(values) > 1 or values[0] is None
        added[f"evaluation_{name}"] = TUNED if is_chosen else values[0]
    config = base.resolved.config
    config = msgspec.structs.replace(config, objective={**config.objective, **added})
    return Resolved(
        card=base.resolved.card,
        config=config,
        choices={f"objective.{key}": value for key, value in added.items()},
        recipe=base.record.recipe,
        set_by_caller=base.record.set_by_caller,
    )


@dataclass(frozen=True, kw_only=True)
class Evaluating:
    """The work of an evaluation: options from validation, then one pass over test."""

    base: FinishedRun
    mode: Mode
    grid: Grid

    def __call__(
        self,
        resolved: Resolved,
        corpus: Corpus,
        folder: Path,
        *,
        style: Style,
        tracker: Tracker,
    ) -> Outcome:
        begun = begin()
        corpus = as_text(corpus, task=resolved.card.task)
        model = load_objective(self.base, corpus)
        if not isinstance(model, LanguageModel):
            raise BenchError(f"run {self.base.id} is no language model: nothing to adapt to")
        chosen, valid_N = choose(model, self.mode, self.grid)
        splits = {"valid": valid_N, "test": score(model, self.mode, "test", chosen)}
        metrics: dict[str, float] = {}
        for split, log_probs_N in splits.items():
            if not np.isfinite(log_probs_N).all():
                raise BenchError(f"{self.mode} left the numbers on {split} with {chosen}: tune it")
            write_log_probs(folder, split, log_probs_N)
            metrics[split] = metric_value(corpus, -float(log_probs_N.mean()))
        tracker.log({f"final/{split}": value for split, value in metrics.items()}, step=0)
        return Outcome(
            metrics=metrics,
            metric=metric_name(corpus),
            signature=text_signature(corpus, evaluation=self.mode),
            bound=bound_value(corpus),
            cost=cost_since(begun, num_parameters=self.base.record.cost.num_parameters),
            products=model.products_in_effect,
            extra={f"evaluation_{name}": float(value) for name, value in chosen.items()},
        )
