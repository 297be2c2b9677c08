"""What is checked before the first worker starts."""

from __future__ import annotations

from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.runs.run import corpus_of
from bench.sweep.definition import Sweep
from bench.sweep.space import tree_of
from bench.training.progress import Style


def check_corpora(sweep: Sweep, suite: Suite, *, style: Style) -> None:
    """Find, verify and prepare the corpus of a sweep once, fetching it where that is asked for.

    Raises BenchError where files are missing or altered: before any trial fails for it.
    """
    overrides = tree_of(sweep.fixed)
    corpus_of(resolve(suite, sweep.task, model=sweep.models[0], overrides=overrides), style=style)
